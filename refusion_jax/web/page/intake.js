/* Ways in: drop, paste, choose; two folders become a batch. */

import { file } from './api.js';
import { $, say } from './dom.js';
import * as batch from './batch.js';
import * as sources from './sources.js';

const PICTURE = /^image\/|^$/;

async function filesUnder(entry) {
  if (entry.isFile) return [await new Promise((done, fail) => { entry.file(done, fail); })];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((done, fail) => { reader.readEntries(done, fail); });
    if (!some.length) return found;
    for (const inner of some) {
      if (inner.isFile && !inner.name.startsWith('.')) found.push(...await filesUnder(inner));
    }
  }
}

async function dropped(transfer) {
  const entries = [...transfer.items].filter((x) => x.kind === 'file')
    .map((x) => x.webkitGetAsEntry());
  const folders = entries.filter((x) => x?.isDirectory);
  if (folders.length === 2) {
    const ordered = folders.sort((a, b) => a.name.localeCompare(b.name));
    batch.open(...await Promise.all(ordered.map(filesUnder)));
    return;
  }
  const files = folders.length ? (await Promise.all(entries.map(filesUnder))).flat()
    : [...transfer.files];
  if (files.length) sources.add(files);
}

export function setUp() {
  const zone = $('drop');
  for (const name of ['dragenter', 'dragover']) {
    document.addEventListener(name, (event) => {
      if (!event.dataTransfer.types.includes('Files')) return;
      event.preventDefault();
      zone.classList.add('is-over');
    });
  }
  document.addEventListener('dragleave', (event) => {
    if (!event.relatedTarget) zone.classList.remove('is-over');
  });
  document.addEventListener('drop', (event) => {
    zone.classList.remove('is-over');
    if (!event.dataTransfer.types.includes('Files')) return;
    event.preventDefault();
    dropped(event.dataTransfer);
  });
  document.addEventListener('paste', (event) => {
    const files = [...event.clipboardData.files].filter((x) => PICTURE.test(x.type));
    if (files.length) sources.add(files);
  });
  $('choose').addEventListener('click', () => $('files').click());
  $('files').addEventListener('change', () => {
    sources.add([...$('files').files]);
    $('files').value = '';
  });
  $('example').addEventListener('click', async () => {
    try {
      const names = ['infrared.png', 'visible.png'];
      sources.add(await Promise.all(names.map((name) => file(`/api/example/${name}`, name))));
    } catch (error) {
      say(error.message);
    }
  });
  let first = [];
  // Without subfolders, as where folders are dropped.
  const visible = (input) => [...input.files].filter((x) => !x.name.startsWith('.')
    && x.webkitRelativePath.split('/').length < 3);
  $('choose-folders').addEventListener('click', () => {
    $('choose-folders').textContent = 'now the first folder';
    $('folder-a').click();
  });
  $('folder-a').addEventListener('change', () => {
    first = visible($('folder-a'));
    $('choose-folders').textContent = 'now the second folder';
    $('folder-b').click();
  });
  $('folder-b').addEventListener('change', () => {
    $('choose-folders').textContent = 'two folders';
    batch.open(first, visible($('folder-b')));
  });
}
