// One control for each live option, made from its declaration in core/config.py.

const STEPS = 1000;  // positions of a slider

// Between the positions of a slider and the values of an option: by ratio for wide ranges, so that
// small values, where most changes are seen, have room as well.
function scale({ minimum: low, maximum: high, type }) {
  const whole = (value) => (type === 'int' ? Math.round(value) : Number(value.toPrecision(3)));
  const inside = (value) => Math.min(high, Math.max(low, whole(value)));
  if (low > 0 && high / low > 50) {
    const ratio = Math.log(high / low);
    return { toValue: (at) => inside(low * Math.exp(ratio * at / STEPS)),
      toSlider: (value) => Math.round(STEPS * Math.log(value / low) / ratio) };
  }
  const power = high - low > 20 ? 3 : 1;
  return { toValue: (at) => inside(low + (high - low) * (at / STEPS) ** power),
    toSlider: (value) => Math.round(STEPS * ((value - low) / (high - low)) ** (1 / power)) };
}

function fieldsetOf(form, part, element) {
  const id = `part-${part}`;
  return document.getElementById(id) ?? form.appendChild(
    element('fieldset', { id }, element('legend', { text: part })));
}

// Returns {show(value), reject(error)}, where an empty error ends a rejection; calls `change` with
// each value that the user chooses.
export function addOption(form, declared, element, change) {
  const name = `${declared.part}.${declared.name}`;
  const input = declared.choices
    ? element('select', { id: name }, ...declared.choices.map(
      (choice) => element('option', { value: choice, text: choice })))
    : element('input', { id: name, type: 'number', min: declared.minimum,
      max: declared.maximum, step: declared.type === 'int' ? 1 : 'any' });
  const undo = element('button', { type: 'button', class: 'undo', text: '↺',
    title: `Back to ${declared.start}`, 'aria-label': `${name} back to ${declared.start}` });
  const row = element('div', { class: 'option' },
    element('div', { class: 'line' },
      element('label', { for: name, text: declared.name.replaceAll('_', ' '), title: name }),
      undo, input));
  const help = element('p', { class: 'help', id: `${name}-help`,
    text: declared.help + (declared.bounds ? ` (${declared.bounds})` : '') });
  input.setAttribute('aria-describedby', help.id);
  const error = element('p', { class: 'error', role: 'alert', hidden: '' });
  const reject = (text) => {
    error.textContent = text;
    error.hidden = !text;
    input.setAttribute('aria-invalid', Boolean(text));
  };
  let slider = null;
  let positions = null;
  if (!declared.choices) {
    positions = scale(declared);
    slider = element('input', { type: 'range', min: 0, max: STEPS, 'aria-label': name });
    slider.addEventListener('input', () => {
      const value = positions.toValue(Number(slider.value));
      input.value = value;
      change(value);
    });
    row.append(slider);
  }
  row.append(error, help);
  fieldsetOf(form, declared.part, element).append(row);

  input.addEventListener('input', () => {
    if (declared.choices) change(input.value);
    else if (input.value !== '') change(Number(input.value));
  });
  undo.addEventListener('click', () => change(declared.start));
  let current = null;
  input.addEventListener('blur', () => {
    input.value = current;
    reject('');
  });
  return {
    show(value) {
      if (value !== current || document.activeElement !== input) input.value = value;
      current = value;
      if (slider && document.activeElement !== slider) slider.value = positions.toSlider(value);
      row.classList.toggle('changed', value !== declared.start);
    },
    reject,
  };
}
