"""A network that starts from a trained detector.

The detector's heads (`heads`) predict the class and the box of the object at each cell of four
strides. The semantic map takes them as evidence (`evidence`), the center and embedding decoders
start from them (`decoders`), and in the exported file the embeddings of one object's pixels are
drawn together (`modes`). `network` puts the parts together.
"""
