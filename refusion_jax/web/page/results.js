/* The fused picture: viewer, maps, metrics, downloads, and the words to repeat it. */

import { fileOf, run } from './api.js';
import { $, busy, copy, download, list, make, say } from './dom.js';

const MAP_TITLES = { w: 'intensity weight of', v: 'gradient weight of' };
let viewer;
let fusion;
let explained;
let csv = '';

export async function show(job) {
  fusion = job;
  explained = undefined;
  const { result } = job;
  $('result').hidden = false;
  $('scores').hidden = true;
  $('facts').textContent = `${result.width} × ${result.height}, `
    + `${result.is_deep ? 16 : 8} bit, ${result.seconds} s`;
  list($('notes'), job.notes);
  $('maps').hidden = Boolean(result.no_maps);
  $('no-maps').textContent = result.no_maps;
  $('score').hidden = result.views.length !== 4;
  $('command').textContent = result.command;
  $('python').textContent = result.python;
  const formats = [['png', result.is_deep ? 'PNG, 16 bit' : 'PNG'],
    ...(result.is_deep ? [['png8', 'PNG, 8 bit']] : []), ['tiff', 'TIFF'], ['jpeg', 'JPEG']];
  $('downloads').replaceChildren(...formats.map(([name, title]) => {
    const button = make('button', { type: 'button', textContent: title });
    button.addEventListener('click', () => fetchAs(`/api/jobs/${job.id}/convert`,
      [['format', name]]));
    return button;
  }), zipButton(job));
  viewer ??= new Viewer($('viewer'));
  const layers = result.views.map((x) => ({ ...x, src: fileOf(job, `${x.key}.png`) }));
  $('result').scrollIntoView({ behavior: 'smooth' });
  await viewer.show(layers, layers[1].key, 'fused');
}

function zipButton(job) {
  const button = make('button', { type: 'button', textContent: 'All as ZIP' });
  button.title = 'the picture, fuse.json and the loss maps if they were made';
  button.addEventListener('click', () => fetchAs('/api/pack',
    [['job', job.id], ...(explained ? [['maps', explained.id]] : [])]));
  return button;
}

async function fetchAs(path, fields) {
  const job = await attempt(path, fields);
  if (job) download(fileOf(job, job.result.file));
}

async function attempt(path, fields) {
  say('');
  try {
    return await run(path, fields, { tell: (text) => busy($('phase'), text) });
  } catch (error) {
    say(error.message);
    return undefined;
  } finally {
    busy($('phase'), '');
  }
}

function titleOf(name) {
  const [kind, source] = name.split('_');
  if (!(kind in MAP_TITLES) || !source) return name;
  const view = fusion.result.views.find((x) => x.key === source);
  return `${name}: ${MAP_TITLES[kind]} ${view?.title ?? source}`;
}

/* Another picture may be shown by the time that a job ends; what it made is not that one's. */
async function explain() {
  const mine = fusion;
  $('maps').disabled = true;
  const job = await attempt('/api/maps', [['job', mine.id]]);
  $('maps').disabled = false;
  if (!job || mine !== fusion) return;
  explained = job;
  const { maps, ramp } = explained.result;
  viewer.maps(maps.map((name) => (
    { key: name, title: titleOf(name), src: fileOf(explained, `${name}.png`) })), ramp);
  await viewer.chooseMap(maps[0]);
}

// Four digits of a row's largest value, and as many decimals for the others.
function decimals(values) {
  const largest = Math.max(...values.map(Math.abs));
  return largest > 0 ? Math.min(6, Math.max(0, 3 - Math.floor(Math.log10(largest)))) : 0;
}

async function score() {
  const mine = fusion;
  $('score').disabled = true;
  const job = await attempt('/api/metrics', [['job', mine.id]]);
  $('score').disabled = false;
  if (!job || mine !== fusion) return;
  const { candidates, rows } = job.result;
  const head = (text) => make('th', { textContent: text });
  $('score-head').replaceChildren(make('tr', {}, head('Metric'), ...candidates.map(head)));
  $('score-rows').replaceChildren(...rows.map((row) => {
    const better = row.higher_is_better ? 'higher is better' : 'lower is better';
    const name = make('th', { title: row.formula, textContent: `${row.title} ` },
      make('abbr', { title: better, textContent: row.higher_is_better ? '↑' : '↓' }),
      row.unit ? ` [${row.unit}]` : '');
    const finite = row.values.filter((x) => x !== null);
    const digits = decimals(finite);
    const best = row.higher_is_better ? Math.max(...finite) : Math.min(...finite);
    return make('tr', {}, name, ...row.values.map((value) => make('td', {
      textContent: value === null ? '–' : value.toFixed(digits),
      className: value === best ? 'best' : '',
    })));
  }));
  csv = [['metric', 'better', ...candidates], ...rows.map((row) => (
    [row.key, row.higher_is_better ? 'higher' : 'lower', ...row.values.map((x) => x ?? '')]))]
    .map((line) => `${line.join(',')}\n`).join('');
  $('scores').hidden = false;
  $('scores').scrollIntoView({ block: 'nearest', behavior: 'smooth' });
}

export function setUp() {
  $('maps').addEventListener('click', explain);
  $('score').addEventListener('click', score);
  $('copy-csv').addEventListener('click', (event) => copy(csv, event.target));
  for (const name of ['command', 'python']) {
    $(`copy-${name}`).addEventListener('click', (event) => (
      copy($(name).textContent, event.target)));
  }
}
