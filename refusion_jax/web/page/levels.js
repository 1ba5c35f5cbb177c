/* Black and white of grey pictures of more than 8 bits: their histogram and two handles. */

import { $, make } from './dom.js';

const STEPS = 1000;
let rule;
let low = 0;
let high = 1;
let counts = [];

/* Returns the box of the handles; `input` is the field of the rule, which they fill in. */
export function handles(input) {
  rule = input;
  const usual = input.value;
  const slider = (id, value) => make('input', {
    type: 'range', id, min: 0, max: STEPS, value, oninput: moved,
  });
  const back = make('button', { type: 'button', textContent: `Back to ${usual}` });
  back.addEventListener('click', () => {
    rule.value = usual;
    place();
  });
  rule.addEventListener('input', place);
  return make('div', { id: 'levels', className: 'levels', hidden: true },
    make('canvas', { width: 512, height: 64 }),
    make('label', {}, make('span', { textContent: 'black' }), slider('levels-low', 0)),
    make('label', {}, make('span', { textContent: 'white' }), slider('levels-high', STEPS)),
    back);
}


/* Draws the histograms of deep grey pictures over each other; without any, hides the box. */
export function draw(pictures) {
  if (!rule) return;
  const deep = pictures.filter((x) => x.histogram && x.high > x.low);
  $('levels').hidden = !deep.length;
  if (!deep.length) return;
  low = Math.min(...deep.map((x) => x.low));
  high = Math.max(...deep.map((x) => x.high));
  counts = deep;
  place();
}

function place() {
  const [a, b] = rule.value.split(':').map(Number);
  const isGiven = rule.value.includes(':') && a < b;
  const share = (level) => Math.round((level - low) / (high - low) * STEPS);
  $('levels-low').value = isGiven ? share(a) : 0;
  $('levels-high').value = isGiven ? share(b) : STEPS;
  paint();
}

function moved(event) {
  const [black, white] = [$('levels-low'), $('levels-high')];
  if (Number(black.value) >= Number(white.value)) {
    if (event.target === black) black.value = Number(white.value) - 1;
    else white.value = Number(black.value) + 1;
  }
  const isWhole = high - low > STEPS;
  const level = (input) => {
    const value = low + input.value / STEPS * (high - low);
    return isWhole ? Math.round(value) : Number(value.toPrecision(6));
  };
  rule.value = `${level(black)}:${level(white)}`;
  paint();
}

function paint() {
  const canvas = $('levels').querySelector('canvas');
  const { width, height } = canvas;
  const context = canvas.getContext('2d');
  const style = getComputedStyle(canvas);
  context.clearRect(0, 0, width, height);
  context.fillStyle = style.getPropertyValue('color');
  context.globalAlpha = 1 / (counts.length + 1);
  for (const picture of counts) {
    const most = Math.max(...picture.histogram);
    const bar = (picture.high - picture.low) / picture.histogram.length;
    picture.histogram.forEach((count, i) => {
      const x = (picture.low + i * bar - low) / (high - low) * width;
      const tall = Math.sqrt(count / most) * height;
      context.fillRect(x, height - tall, Math.max(1, bar / (high - low) * width), tall);
    });
  }
  const at = (id) => $(id).value / STEPS * width;
  context.globalAlpha = 0.45;
  context.fillStyle = '#000';
  context.fillRect(0, 0, at('levels-low'), height);
  context.fillStyle = '#888';
  context.fillRect(at('levels-high'), 0, width - at('levels-high'), height);
  context.globalAlpha = 1;
}
