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
  await navigator.clipboard.writeText(text);
  const before = button.textContent;
  button.textContent = 'Copied';
  setTimeout(() => { button.textContent = before; }, 1500);
}

export function download(address) {
  make('a', { href: `${address}?download`, download: '' }).click();
}
