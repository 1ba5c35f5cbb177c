/* Opens the pictures of a report in the viewer, and sorts its tables. */
'use strict';

const dialog = document.querySelector('dialog');
const heading = dialog.querySelector('h2');
const viewer = new Viewer(dialog.querySelector('div'));

async function openGroup(group, key) {
  const images = [...group.querySelectorAll('button img')];
  const layers = images.map((image, i) => (
    { key: `${i}`, title: image.alt, src: image.src }));
  heading.textContent = group.dataset.title;
  dialog.showModal();
  await viewer.show(layers, key === 0 && layers.length > 1 ? '1' : '0', `${key}`);
  viewer.stage.focus();
}

for (const group of document.querySelectorAll('[data-title]')) {
  [...group.querySelectorAll('button')].forEach((button, i) => {
    button.addEventListener('click', () => openGroup(group, i));
  });
}
dialog.querySelector('[name="close"]').addEventListener('click', () => dialog.close());

function groupOf(stem) {
  return [...document.querySelectorAll('[data-stem]')].find((x) => x.dataset.stem === stem);
}

/* A dot of a chart leads to its row in the table, and to its pictures if shown. */
for (const dot of document.querySelectorAll('circle[data-pair]')) {
  dot.addEventListener('click', () => {
    const group = groupOf(dot.dataset.pair);
    const row = document.querySelector(`tr[data-pair="${CSS.escape(dot.dataset.pair)}"]`);
    for (const marked of document.querySelectorAll('.chosen')) {
      marked.classList.remove('chosen');
    }
    row?.classList.add('chosen');
    (group ?? row)?.scrollIntoView({ block: 'center', behavior: 'smooth' });
  });
}

for (const table of document.querySelectorAll('table.sortable')) {
  const [body] = table.tBodies;
  [...table.tHead.rows[0].cells].forEach((cell, column) => {
    const button = cell.querySelector('button');
    button?.addEventListener('click', () => {
      const order = cell.getAttribute('aria-sort') === 'ascending' ? -1 : 1;
      for (const other of table.tHead.rows[0].cells) other.removeAttribute('aria-sort');
      cell.setAttribute('aria-sort', order > 0 ? 'ascending' : 'descending');
      const value = (row) => row.cells[column].dataset.value;
      const last = (text) => text === undefined || text === '';
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        if (last(x) || last(y)) return last(x) - last(y);
        return order * (Number.isNaN(+x) || Number.isNaN(+y)
          ? x.localeCompare(y, undefined, { numeric: true }) : x - y);
      });
      body.replaceChildren(...rows);
    });
  });
  const filter = table.closest('.wide').previousElementSibling?.querySelector('input');
  filter?.addEventListener('input', () => {
    const text = filter.value.toLowerCase();
    for (const row of body.rows) {
      row.hidden = !row.cells[0].textContent.toLowerCase().includes(text);
    }
  });
}
