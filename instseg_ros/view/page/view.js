// The page of "instseg view": asks for one state after the other and draws it; sends changes.
import { addOption } from './options.js';

const LAYERS = { false: 'overlay', true: 'image' };
const RETRY = 1000;  // ms
const byId = (id) => document.getElementById(id);

let about = null;      // what doesn't change
let state = null;      // the newest one
let shown = '';        // data URL of its picture
let before = null;     // {number, jpeg}: this frame with the options before the first change
let imageOnly = false;
let inputs = {};       // by dotted name, see options.js
let lost = false;

function element(tag, { text = '', ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(text, ...children);
  return made;
}

async function send(action, body = {}) {
  const answer = await fetch(action, {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
  return answer.ok ? '' : (await answer.json()).error;
}

// Live options: at most one request at a time, then one with all that changed meanwhile.
let pending = {};
let sent = {};
let sending = false;

async function changeOption(name, value) {
  pending[name] = value;
  if (sending) return;
  sending = true;
  try {
    while (Object.keys(pending).length) {
      sent = pending;
      pending = {};
      rememberBefore();
      const error = await send('options', sent);
      for (const changed of Object.keys(sent)) inputs[changed].reject(error);
    }
  } catch {
    loseConnection();
  } finally {
    sending = false;
    sent = {};
    showOptions();  // the state with the new values may have come before the answer
  }
}

function showOptions() {
  for (const [name, value] of Object.entries(state?.options ?? {})) {
    if (!(name in pending || name in sent)) inputs[name]?.show(value);
  }
}

function rememberBefore() {
  if (before || !shown || !state?.picture || imageOnly) return;
  before = { number: state.picture.number, jpeg: shown };
}

function showPicture() {
  const image = byId('picture');
  image.hidden = !shown;
  if (shown) image.src = shown;
}

function draw(next) {
  state = next;
  const picture = next.picture;
  if (picture && next.jpeg !== undefined) {
    if (before && before.number !== picture.number) before = null;
    shown = next.jpeg && `data:image/jpeg;base64,${next.jpeg}`;
    showPicture();
    drawObjects(picture);
    drawTimes(picture);
    byId('waiting').hidden = true;
    byId('problem').textContent = picture.problem;
    byId('problem').hidden = !picture.problem;
  }
  byId('before').disabled = !before;
  byId('remarks').hidden = !next.remarks.length;
  byId('remarks').replaceChildren(...next.remarks.map((text) => element('li', { text })));
  drawTransport(next);
  showOptions();
}

function drawTransport({ playing, ended, count, picture }) {
  byId('play').textContent = playing ? 'Pause' : ended ? 'Again' : 'Play';
  byId('back').hidden = byId('seek').hidden = about.is_live;
  const seek = byId('seek');
  seek.hidden = about.is_live || count < 2;
  seek.max = Math.max(0, count - 1);
  if (!picture) return;
  if (document.activeElement !== seek || playing) seek.value = picture.number;
  byId('position').textContent = about.is_live ? picture.label
    : `${picture.number + 1}${count ? ` / ${count}` : ''}  ·  ${picture.label}`;
}

function drawObjects({ objects = [], dropped = 0 }) {
  byId('highlight').hidden = true;
  byId('object-count').textContent = dropped ? `${objects.length}, ${dropped} more dropped`
    : objects.length;
  byId('no-objects').hidden = objects.length > 0;
  byId('objects').replaceChildren(...objects.map((object) => {
    const [left, top, right, bottom] = object.box_xyxy;
    const swatch = element('span', { class: 'swatch' });
    swatch.style.background = `rgb(${object.color.join(' ')})`;
    const row = element('tr', {},
      element('td', {}, swatch, String(object.id)),
      element('td', { text: object.class_name }),
      element('td', { text: object.score.toFixed(2) },
        element('meter', { min: 0, max: 1, value: object.score })),
      element('td', { class: 'number',
        text: `${left}, ${top}, ${right - left}, ${bottom - top}` }),
      element('td', { class: 'number', text: `${object.area} px` }));
    row.addEventListener('pointerenter', () => highlight(object.box_xyxy));
    row.addEventListener('pointerleave', () => { byId('highlight').hidden = true; });
    return row;
  }));
}

function highlight([left, top, right, bottom]) {
  const image = byId('picture');
  const { width, height } = state.picture;
  // object-fit: contain leaves margins on two sides.
  const scale = Math.min(image.clientWidth / width, image.clientHeight / height);
  const x = image.offsetLeft + (image.clientWidth - width * scale) / 2;
  const y = image.offsetTop + (image.clientHeight - height * scale) / 2;
  const box = byId('highlight');
  box.style.left = `${x + left * scale}px`;
  box.style.top = `${y + top * scale}px`;
  box.style.width = `${(right - left) * scale}px`;
  box.style.height = `${(bottom - top) * scale}px`;
  box.hidden = false;
}

function drawTimes({ timings = {}, network_ran: networkRan = true }) {
  const entries = Object.entries(timings);
  const total = entries.reduce((sum, [, ms]) => sum + ms, 0);
  const longest = Math.max(...entries.map(([, ms]) => ms), 0.001);
  byId('total').textContent = entries.length ? `${total.toFixed(1)} ms` : '';
  byId('kept').hidden = networkRan;
  byId('times').replaceChildren(...entries.map(([stage, ms]) => {
    const bar = element('div', { class: 'bar' });
    bar.style.width = `${100 * ms / longest}%`;
    const kept = !networkRan && (stage === 'scale' || stage === 'network');
    return element('div', { class: kept ? 'stage kept' : 'stage' },
      element('span', { text: stage }), element('div', {}, bar),
      element('span', { class: 'ms', text: `${ms.toFixed(2)} ms` }));
  }));
}

function loseConnection() {
  lost = true;
  byId('connection').hidden = false;
}

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function follow() {
  let layer = imageOnly;
  for (;;) {
    const seen = layer === imageOnly ? state?.picture?.serial ?? 0 : 0;
    const version = layer === imageOnly ? state?.version ?? -1 : -1;
    layer = imageOnly;
    following = new AbortController();
    try {
      const query = new URLSearchParams({ version, seen, layer: LAYERS[layer] });
      const answer = await fetch(`state?${query}`, { signal: following.signal });
      if (lost) location.reload();
      if (answer.status === 200) draw(await answer.json());
      else if (answer.status !== 204) throw new Error(answer.statusText);
    } catch (error) {
      if (error.name === 'AbortError') continue;
      loseConnection();
      await pause(RETRY);
    }
  }
}

let following = new AbortController();

function toggleLayer() {
  imageOnly = !imageOnly;
  byId('layer').setAttribute('aria-pressed', imageOnly);
  following.abort();
}

function togglePlay() {
  send(state?.playing ? 'pause' : 'play').catch(loseConnection);
}

function step(frames) {
  send('step', { frames }).catch(loseConnection);
}

function holdBefore(held) {
  if (!before) return;
  byId('picture').src = held ? before.jpeg : shown;
}

function listen() {
  byId('play').addEventListener('click', togglePlay);
  byId('back').addEventListener('click', () => step(-1));
  byId('forward').addEventListener('click', () => step(1));
  byId('seek').addEventListener('input', (event) => {
    send('seek', { frames: Number(event.target.value) }).catch(loseConnection);
  });
  byId('layer').addEventListener('click', toggleLayer);
  byId('before').addEventListener('pointerdown', () => holdBefore(true));
  for (const end of ['pointerup', 'pointerleave', 'pointercancel', 'blur']) {
    byId('before').addEventListener(end, () => holdBefore(false));
  }
  byId('reset').addEventListener('click', () => {
    for (const { part, name, start } of about.options) changeOption(`${part}.${name}`, start);
  });
  const keys = { ' ': togglePlay, ArrowLeft: () => step(-1), ArrowRight: () => step(1),
    i: toggleLayer, b: () => holdBefore(true) };
  document.addEventListener('keydown', (event) => {
    if (event.target.closest('input, select, button, a') || event.ctrlKey || event.metaKey) return;
    if (!(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  });
  document.addEventListener('keyup', (event) => { if (event.key === 'b') holdBefore(false); });
}

async function start() {
  try {
    about = await (await fetch('about')).json();
  } catch {
    loseConnection();
    await pause(RETRY);
    location.reload();
    return;
  }
  byId('about').textContent = `${about.source} · ${about.model} on ${about.provider}`;
  document.title = `${about.source} – instseg view`;
  for (const declared of about.options) {
    const name = `${declared.part}.${declared.name}`;
    inputs[name] = addOption(byId('options'), declared, element,
      (value) => changeOption(name, value));
  }
  listen();
  follow();
}

start();
