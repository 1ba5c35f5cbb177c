/* The pictures to fuse: dropped, pasted or chosen, in an order that can be changed. */

import { fileOf, run } from './api.js';
import { $, busy, list, make, say } from './dom.js';

let pictures = [];
let titles = ['A', 'B'];
let changed = () => {};
let sorted = '';
/* What EXIF tells of a shot, and the order in which it sorts. */
const SHOT = { exposure: 'exposure, the darkest first', distance: 'focus distance, near first' };

const tells = (key) => pictures.length > 1
  && new Set(pictures.map((x) => x[key] ?? NaN)).size === pictures.length
  && pictures.every((x) => x[key]);

function sortBy(key) {
  pictures.sort((a, b) => a[key] - b[key]);
  sorted = ` Sorted by ${SHOT[key]}, as the camera noted it.`;
}

export const chosen = () => pictures;
export const fields = () => pictures.map((x) => ['picture', x.picture]);

export function nameRoles(names) {
  titles = names;
  draw();
}

export function onChange(action) { changed = action; }

export async function add(files) {
  say('');
  $('batch').hidden = true;
  $('run').hidden = false;
  try {
    const job = await run('/api/pictures', files.map((x) => ['sources', x]), {
      tell: (text) => busy($('phase'), text),
    });
    const added = job.result.pictures;
    const isNew = !pictures.length;
    pictures.push(...added.map((x) => (
      { ...x, address: fileOf(job, x.thumb), notes: job.notes })));
    sorted = '';
    for (const key of Object.keys(SHOT)) {
      if (isNew && pictures.length > 2 && !sorted && tells(key)) sortBy(key);
    }
    changed();
  } catch (error) {
    say(error.message);
  } finally {
    busy($('phase'), '');
    draw();
  }
}

export function reverse() {
  pictures.reverse();
  draw();
}

function move(from, to) {
  if (to < 0 || to >= pictures.length || from === to) return;
  pictures.splice(to, 0, ...pictures.splice(from, 1));
  sorted = '';
  draw();
  changed();
}

function roleOf(place) {
  if (pictures.length > 2) return `${place + 1}`;
  const letter = 'AB'[place];
  return titles[place] === letter ? letter : `${letter}: ${titles[place]}`;
}

function warnings() {
  const narrow = pictures.filter((x) => x.is_narrow).map((x) => (
    `${x.name} uses the levels ${x.low.toFixed(0)} to ${x.high.toFixed(0)}, so it is `
    + 'nearly flat under levels "full": choose "auto", or black and white, under Options.'));
  const sizes = new Set(pictures.map((x) => `${x.width} × ${x.height}`));
  if (sizes.size > 1) {
    narrow.push(`Sizes differ (${[...sizes].join(', ')}): choose how to align under Options.`);
  }
  return [...new Set(pictures.flatMap((x) => x.notes)), ...narrow];
}

function tree(first, last) {
  if (last - first === 1) return `${first + 1}`;
  const middle = first + Math.ceil((last - first) / 2);
  return `(${tree(first, middle)} ${tree(middle, last)})`;
}

function draw() {
  $('sources').hidden = !pictures.length;
  if ($('batch').hidden) $('options').hidden = pictures.length < 2;
  $('drop').classList.toggle('has-pictures', pictures.length > 0);
  $('swap').hidden = pictures.length !== 2;
  $('sort').hidden = pictures.length < 3;
  for (const key of Object.keys(SHOT)) $(`sort-${key}`).hidden = !tells(key);
  $('tree').hidden = pictures.length < 3;
  if (pictures.length > 2) {
    $('tree').textContent = `A stack of ${pictures.length}, fused two by two: `
      + `${tree(0, pictures.length)}.${sorted}`;
  }
  list($('warnings'), warnings());
  $('thumbs').replaceChildren(...pictures.map(drawOne));
}

function drawOne(picture, place) {
  const button = (text, title, action) => {
    const made = make('button', { type: 'button', textContent: text, title });
    made.setAttribute('aria-label', `${title}: ${picture.name}`);
    made.addEventListener('click', action);
    return made;
  };
  const item = make('li', { draggable: true },
    make('img', { src: picture.address, alt: '', draggable: false }),
    make('b', { textContent: roleOf(place) }),
    make('span', { textContent: picture.name, title: picture.name }),
    make('span', { textContent: `${picture.width} × ${picture.height}, ${picture.depth}`
      + `${picture.is_coloured ? ', colour' : ', grey'}` }),
    make('div', { className: 'moves' },
      button('←', 'earlier', () => move(place, place - 1)),
      button('→', 'later', () => move(place, place + 1)),
      button('×', 'remove', () => {
        pictures.splice(place, 1);
        draw();
        changed();
      })));
  item.addEventListener('dragstart', (event) => {
    event.dataTransfer.setData('text/x-place', `${place}`);
  });
  item.addEventListener('dragover', (event) => {
    if (!event.dataTransfer.types.includes('text/x-place')) return;
    event.preventDefault();
    item.classList.add('is-target');
  });
  item.addEventListener('dragleave', () => item.classList.remove('is-target'));
  item.addEventListener('drop', (event) => {
    const from = event.dataTransfer.getData('text/x-place');
    if (from === '') return;
    event.preventDefault();
    event.stopPropagation();
    move(Number(from), place);
  });
  return item;
}

export function setUp() {
  $('swap').addEventListener('click', () => move(0, 1));
  $('clear').addEventListener('click', () => { pictures = []; draw(); changed(); });
  $('sort').addEventListener('click', () => {
    pictures.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
    sorted = '';
    draw();
    changed();
  });
  for (const key of Object.keys(SHOT)) {
    $(`sort-${key}`).addEventListener('click', () => { sortBy(key); draw(); changed(); });
  }
}
