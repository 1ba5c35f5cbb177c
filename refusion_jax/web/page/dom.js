/* Small words for the document. */

export const $ = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

export function say(text) {
  $('problem').textContent = text;
  $('problem').hidden = !text;
}

export function list(element, texts) {
  element.replaceChildren(...texts.map((text) => make('li', { textContent: text })));
}

export function busy(element, text) {
  element.textContent = text;
  element.classList.toggle('is-busy', Boolean(text));
}

export async function copy(text, button) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
  } else { /* A page of another host without TLS has no clipboard. */
    const area = make('textarea', { value: text });
    button.after(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
  const before = button.textContent;
  button.textContent = 'Copied';
  setTimeout(() => { button.textContent = before; }, 1500);
}

export function download(address) {
  make('a', { href: `${address}?download`, download: '' }).click();
}
