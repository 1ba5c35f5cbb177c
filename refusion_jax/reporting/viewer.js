/* Flipping between the pictures of a row keeps the place, so that they can be
   compared. */
const dialog = document.querySelector('dialog'), shown = dialog.querySelector('img');
const box = dialog.querySelector('div'), label = dialog.querySelector('output');
let row = [], name = '', at = 0, zoom = 1;
function show() {
  const picture = row[at].querySelector('img');
  shown.src = picture.src; shown.alt = picture.alt;
  label.textContent = `${name}: ${picture.alt}`;
  shown.style.width = picture.naturalWidth * zoom + 'px';
}
function turn(by) { at = (at + by + row.length) % row.length; show(); }
function scale(by) {
  const x = (box.scrollLeft + box.clientWidth / 2) / zoom;
  const y = (box.scrollTop + box.clientHeight / 2) / zoom;
  zoom = Math.min(8, Math.max(1 / 8, zoom * by)); show();
  box.scrollTo(x * zoom - box.clientWidth / 2, y * zoom - box.clientHeight / 2);
}
for (const strip of document.querySelectorAll('.strip')) {
  const buttons = [...strip.querySelectorAll('button')];
  buttons.forEach((button, i) => button.addEventListener('click', () => {
    row = buttons; name = strip.previousElementSibling.textContent; at = i;
    dialog.showModal();
    const picture = button.querySelector('img');
    const fit = Math.min(box.clientWidth / picture.naturalWidth,
      box.clientHeight / picture.naturalHeight);
    zoom = Math.min(8, Math.max(1 / 8, 2 ** Math.floor(Math.log2(fit)))); show();
  }));
}
const actions = { previous: () => turn(-1), next: () => turn(1), out: () => scale(0.5),
  in: () => scale(2), close: () => dialog.close() };
dialog.addEventListener('click', event => actions[event.target.name]?.());
dialog.addEventListener('keydown', event => {
  const action = { ArrowLeft: 'previous', ArrowRight: 'next', '-': 'out', '+': 'in',
    '=': 'in' }[event.key];
  if (action) { event.preventDefault(); actions[action](); }
});
