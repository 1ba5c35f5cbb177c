/* Two folders: pairs by name, one after the other, the worst first when all are done. */

import { cancel, fileOf, postJson, run } from './api.js';
import { $, busy, download, make, say } from './dom.js';
import * as options from './options.js';
import * as results from './results.js';

const METRICS = ['ssim_refusion', 'scd'];
const PACKED = 200; // pairs in one field of a form, which holds 64 KiB
const LONGEST = 80; // characters of a folder's name that the server keeps
let folders = [[], []];
let rows = [];
let guessed; // about these folders
let isRunning = false;
let isStopped = false;
let current = '';

export async function open(first, second) {
  $('options').hidden = false;
  $('run').hidden = true;
  $('batch').hidden = false;
  if (isRunning) {
    say('These pairs are still being fused: stop that first, or wait for its end.');
    return;
  }
  folders = [first, second];
  guessed = undefined;
  options.forget();
  await pair();
}

async function pair() {
  say('');
  $('batch-run').disabled = true; // the rows of before are going
  try {
    const told = await postJson('/api/pairs', {
      folders: folders.map((files) => files.map((x) => x.name)), rule: $('batch-rule').value,
    });
    const file = (place, name) => folders[place].find((x) => x.name === name);
    rows = told.pairs.map(([stem, a, b]) => (
      { stem, files: [file(0, a), file(1, b)], state: '', scores: [], options: '' }));
    if (guessed?.is_reversed) swap();
    $('batch-remark').textContent = [`${rows.length} pairs.`, told.remark ?? '',
      told.alone.length ? `Without a partner: ${told.alone.join(', ')}.` : ''].join(' ');
  } catch (error) {
    rows = [];
    say(error.message);
  }
  $('batch-run').disabled = !rows.length;
  $('batch-zip').hidden = true;
  draw();
}

function draw() {
  $('batch-rows').replaceChildren(...rows.map((row) => {
    const look = make('button', { type: 'button', textContent: 'Look' });
    look.addEventListener('click', () => results.show(row.job));
    const picture = row.job ? [make('img', {
      src: fileOf(row.job, 'fused.png'), alt: `${row.stem}, fused` }), look] : [];
    return make('tr', {}, make('th', { textContent: row.stem }),
      make('td', { textContent: row.state }), make('td', {}, ...picture),
      ...METRICS.map((_, i) => make('td', {
        textContent: row.scores[i] === undefined ? '' : (row.scores[i] ?? NaN).toFixed(3) })));
  }));
}

async function fuseOne(row, fields, tell) {
  const tasks = { tell, started: (id) => { current = id; } };
  row.job = await run('/api/fuse', [...row.files.map((x) => ['sources', x]), ...fields], tasks);
  const scored = await run('/api/metrics',
    [['job', row.job.id], ['metrics', METRICS.join(',')]], tasks);
  row.scores = scored.result.rows.map((x) => x.values[0]);
}

function reset(row, state = '') {
  Object.assign(row, { job: undefined, state, scores: [], options: '' });
}

function swap() {
  for (const row of rows) row.files.reverse();
}

/* Guesses once for two folders, unless the visitor chose. */
async function guessOnce(row) {
  await options.ready;
  if (options.isGiven()) return;
  if (!guessed) {
    const told = (await run('/api/guess', row.files.map((x) => ['sources', x]))).result;
    if (options.isGiven()) return; // meanwhile
    if (!told.weights) throw new Error('Cannot tell what these pictures are: choose above first.');
    guessed = told;
    if (guessed.is_reversed) swap();
  }
  options.take(guessed.weights, `Guess: ${guessed.weights}, ${guessed.reason}`
    + `${guessed.is_reversed ? '; the folders are swapped' : ''}.`);
}

function setRunning(is) {
  isRunning = is;
  $('batch-rule').disabled = is;
  $('batch-run').disabled = is;
  $('batch-stop').hidden = !is;
}

async function fuseAll() {
  isStopped = false;
  say('');
  setRunning(true);
  try {
    await guessOnce(rows[0]);
    // Once, so that all pictures of a batch are made alike whatever is changed meanwhile.
    const fields = options.fields();
    const wanted = JSON.stringify(fields);
    for (const row of rows) if (row.options !== wanted) reset(row);
    draw();
    for (const [place, row] of rows.entries()) {
      if (isStopped) break;
      if (row.options === wanted) continue;
      const tell = (text) => busy($('batch-phase'),
        `${place + 1} of ${rows.length}, ${row.stem}: ${text}`);
      try {
        await fuseOne(row, fields, tell);
        Object.assign(row, { state: 'fused', options: wanted });
      } catch (error) {
        row.state = error.message;
      }
      draw();
    }
    rows.sort((a, b) => (a.scores[0] ?? -Infinity) - (b.scores[0] ?? -Infinity));
  } catch (error) {
    say(error.message);
  }
  draw();
  busy($('batch-phase'), '');
  setRunning(false);
  $('batch-zip').hidden = !rows.some((row) => row.job);
}

async function pack() {
  say('');
  const done = rows.filter((row) => row.job);
  const listed = done.map((row) => [row.job.id, row.stem.slice(0, LONGEST)]);
  const fields = [];
  for (let i = 0; i < listed.length; i += PACKED) {
    fields.push(['fusions', JSON.stringify(listed.slice(i, i + PACKED))]);
  }
  try {
    const job = await run('/api/pack', fields, { tell: (text) => busy($('batch-phase'), text) });
    const { file, missing } = job.result;
    const gone = done.filter((row) => missing.includes(row.job?.id));
    for (const row of gone) reset(row, 'no longer kept: fuse again');
    if (gone.length) {
      say(`Not in the ZIP, as no longer kept: ${gone.map((row) => row.stem).join(', ')}. `
        + 'Fuse all makes these again.');
      draw();
    }
    if (file) download(fileOf(job, file));
  } catch (error) {
    say(error.message);
  }
  busy($('batch-phase'), '');
  $('batch-zip').hidden = !rows.some((row) => row.job);
}

export function setUp() {
  $('batch-rule').addEventListener('change', pair);
  $('batch-run').addEventListener('click', fuseAll);
  $('batch-zip').addEventListener('click', pack);
  $('batch-stop').addEventListener('click', () => {
    isStopped = true;
    if (current) cancel(current);
  });
}
