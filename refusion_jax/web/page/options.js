/* What the pictures are and how they are fused; the server's rules become a form. */

import { run } from './api.js';
import { $, make } from './dom.js';
import * as levels from './levels.js';
import * as sources from './sources.js';

let offers = [];
let isChosen = false;
let asked = 0;
let open;
/* Pictures may come before the server has told which weights there are. */
export const ready = new Promise((resolve) => { open = resolve; });

/* Whether the visitor, or whoever started the server, named the weights. */
export const isGiven = () => isChosen;

export const weights = () => document.querySelector('[name="weights"]:checked')?.value ?? '';

export function fields() {
  const rules = [...$('rules').querySelectorAll('select, input')];
  return [['weights', weights()], ...rules.filter((x) => x.value !== '')
    .map((x) => [x.name, x.value])];
}

function roles() {
  const offer = offers.find((x) => x.name === weights());
  sources.nameRoles(offer ? offer.sources : ['A', 'B']);
}

/* Shows a guess, which is no choice of the visitor; without a name, that there is none. */
export function take(name, text) {
  asked += 1;
  for (const input of document.querySelectorAll('[name="weights"]')) {
    input.checked = input.value === name;
  }
  roles();
  $('guess').textContent = text;
}

/* Clears a guess about other pictures. */
export function forget() {
  if (!isChosen) take('', '');
}

export function setUp({ weights: given, rules, preferred, limits }) {
  offers = given;
  $('weights').replaceChildren(...offers.map((offer) => {
    const input = make('input', { type: 'radio', name: 'weights', value: offer.name,
      checked: offer.name === preferred });
    const hash = offer.sha256 ? `SHA-256 ${offer.sha256}` : '';
    return make('label', { title: [offer.no_maps, hash].filter(Boolean).join('\n') }, input,
      make('b', { textContent: offer.title }),
      make('small', { textContent: offer.sources.join(' | ')
        + (offer.no_maps ? ', no loss maps' : '') }));
  }));
  $('weights').addEventListener('change', () => {
    isChosen = true;
    $('guess').textContent = '';
    roles();
  });
  isChosen = Boolean(preferred);
  $('rules').replaceChildren(...rules.map((rule) => {
    const input = rule.choices.length
      ? make('select', { name: rule.name }, ...rule.choices.map((x) => new Option(x, x)))
      : make('input', { name: rule.name, type: 'text', value: rule.default });
    if (rule.name === 'range') {
      input.prepend(new Option('as the weights suggest', ''));
      input.value = '';
    }
    const box = make('div', {}, make('label', { textContent: rule.name }, input),
      make('small', { textContent: rule.help }));
    if (rule.name === 'levels') box.append(levels.handles(input));
    return box;
  }), make('div', {}, make('label', { textContent: 'max pixels' }, make('input', {
    name: 'max_pixels', type: 'number', min: 1, max: limits.pixels, placeholder: limits.pixels,
  })), make('small', { textContent: 'reject larger pictures before they fill memory' })));
  roles();
  open();
}

/* Asks the server what the pictures are, and says it. */
export async function guess() {
  asked += 1;
  const mine = asked;
  await ready;
  if (isChosen || sources.chosen().length < 2) return;
  $('guess').textContent = 'looking at the pictures …';
  let told;
  try {
    told = (await run('/api/guess', sources.fields())).result;
  } catch {
    told = { weights: '', reason: '' };
  }
  if (mine !== asked || isChosen) return;
  const offer = offers.find((x) => x.name === told.weights);
  if (!offer) {
    const reason = told.reason ? `${told.reason}. ` : '';
    take('', `${reason}Please choose what these pictures are.`);
    return;
  }
  if (told.is_reversed) sources.reverse();
  take(offer.name, `Guess: ${offer.title}, ${told.reason}`
    + `${told.is_reversed ? '; A and B are swapped' : ''}. Choose another if it is wrong.`);
}
