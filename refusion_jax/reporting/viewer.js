/* Compares pictures of one size in place. Reports and the page of `refusion serve` use
   the same file, so it asks for nothing: whoever has the pictures calls `show`. */
'use strict';

const VIEWER_KEYS = [
  ['space', 'blink between the two'], ['← →', 'move the divider'],
  ['[ ]', 'another picture on the right'], ['+ −', 'zoom'], ['0', 'fit'],
  ['1', 'one to one'], ['d', 'difference'], ['s', 'side by side'],
];
/* Levels at which the colours of a difference end. */
const VIEWER_DIFFERENCE = 64;
/* Left darker, left brighter: the ends of DIVERGING in `color_map.py`. */
const VIEWER_ENDS = [[5, 48, 115], [97, 48, 5]];
const VIEWER_MODES = { slider: 'Slider', side: 'Side by side', difference: 'Difference' };
/* Pixels, the longer side of a computed difference. */
const VIEWER_LARGEST = 2048;

class Viewer {
  #layers = [];
  #maps = [];
  #ramp = [];
  #size = { width: 1, height: 1 };
  #zoom = 1;
  #at = { x: 0, y: 0 };
  #isFitted = true;
  #split = 0.5;
  #mode = 'slider';
  #pointers = new Map();
  #probe = document.createElement('canvas').getContext('2d', { willReadFrequently: true });

  constructor(root) {
    this.root = root;
    root.classList.add('viewer');
    this.#build();
    new ResizeObserver(() => (this.#isFitted ? this.fit() : this.#place()))
      .observe(this.stage);
  }

  /* layers: [{ key, title, src }]; left and right are keys of them. */
  async show(layers, left, right) {
    this.#layers = layers;
    for (const [side, key] of [['left', left], ['right', right]]) {
      this.selects[side].replaceChildren(...layers.map((x) => new Option(x.title, x.key)));
      this.selects[side].value = key;
    }
    this.maps([], []);
    this.#isFitted = true;
    await this.#load();
  }

  /* maps: [{ key, title, src }] of grey pictures; ramp: 256 colours. */
  maps(maps, ramp) {
    this.#maps = maps;
    this.#ramp = ramp;
    const choices = maps.map((x) => new Option(x.title, x.key));
    this.mapSelect.replaceChildren(new Option('no map', ''), ...choices);
    this.mapBox.hidden = !maps.length;
    if (maps.length) this.#drawBar();
    this.#drawMap();
  }

  chooseMap(key) {
    this.mapSelect.value = key;
    return this.#drawMap();
  }

  fit() {
    const { width, height } = this.#pane();
    const fitting = Math.min(width / this.#size.width, height / this.#size.height);
    this.#zoom = Math.min(8, fitting);
    this.#at = { x: 0, y: 0 };
    this.#isFitted = true;
    this.#place();
  }

  oneToOne() {
    const { width, height } = this.#pane();
    this.zoomTo(1 / devicePixelRatio, width / 2, height / 2);
  }

  zoomTo(zoom, x, y) {
    const { width, height } = this.#pane();
    const least = Math.min(1, width / this.#size.width, height / this.#size.height) / 2;
    const next = Math.min(32, Math.max(least, zoom));
    const share = next / this.#zoom;
    this.#at = { x: x - (x - this.#at.x) * share, y: y - (y - this.#at.y) * share };
    this.#zoom = next;
    this.#isFitted = false;
    this.#place();
  }

  setMode(mode) {
    this.#mode = mode;
    this.root.dataset.mode = mode;
    for (const [name, button] of Object.entries(this.modes)) {
      button.setAttribute('aria-pressed', name === mode);
    }
    this.#shape();
    if (mode === 'difference') this.#drawDifference();
    if (this.#isFitted) this.fit(); else this.#place();
  }

  setSplit(share) {
    this.#split = Math.min(1, Math.max(0, share));
    this.divider.value = Math.round(this.#split * 100);
    this.#place();
  }

  blink() {
    this.setMode('slider');
    this.setSplit(this.#split > 0.5 ? 0 : 1);
  }

  turn(by) {
    const select = this.selects.right;
    select.selectedIndex =
      (select.selectedIndex + by + this.#layers.length) % this.#layers.length;
    return this.#load();
  }

  #build() {
    const bar = this.#element('div', 'viewer-bar', this.root);
    this.selects = {};
    for (const [side, label] of [['left', 'left picture'], ['right', 'right picture']]) {
      if (side === 'right') this.#element('span', '', bar).textContent = 'against';
      this.selects[side] = this.#element('select', `viewer-${side}`, bar);
      this.selects[side].setAttribute('aria-label', label);
      this.selects[side].addEventListener('change', () => this.#load());
    }
    const group = this.#element('span', 'viewer-group', bar);
    this.modes = {};
    for (const [mode, title] of Object.entries(VIEWER_MODES)) {
      this.modes[mode] = this.#button(group, title, title, () => this.setMode(mode));
    }
    const zooms = this.#element('span', 'viewer-group', bar);
    this.#button(zooms, '−', 'smaller', () => this.#zoomBy(1 / 1.5));
    this.#button(zooms, 'Fit', 'fit into the window', () => this.fit());
    this.#button(zooms, '1:1', 'one pixel of the picture per pixel of the screen',
      () => this.oneToOne());
    this.#button(zooms, '+', 'larger', () => this.#zoomBy(1.5));
    this.#buildStage();
    const below = this.#element('div', 'viewer-bar viewer-below', this.root);
    this.sliders = {};
    for (const [name, least, most] of [['brightness', 0.2, 4], ['gamma', 0.3, 3]]) {
      const title = `${name} of this view only`;
      this.sliders[name] = this.#slider(below, name, title, least, most, 1);
      this.sliders[name].addEventListener('input', () => this.#light());
      this.sliders[name].addEventListener('dblclick', () => {
        this.sliders[name].value = 1;
        this.#light();
      });
    }
    this.#buildMaps(below);
    this.readout = this.#element('output', 'viewer-readout', this.root);
    const help = this.#element('details', 'viewer-keys', this.root);
    this.#element('summary', '', help).textContent = 'Keys';
    for (const [key, what] of VIEWER_KEYS) {
      const line = this.#element('span', '', help);
      this.#element('kbd', '', line).textContent = key;
      line.append(` ${what}`);
    }
    this.setMode('slider');
  }

  #buildStage() {
    this.stage = this.#element('div', 'viewer-stage', this.root);
    this.stage.tabIndex = 0;
    this.stage.setAttribute('role', 'group');
    this.stage.setAttribute('aria-label', 'comparison of two pictures');
    this.panes = {};
    for (const side of ['left', 'right']) {
      const pane = this.#element('div', `viewer-pane viewer-pane-${side}`, this.stage);
      const image = this.#element('img', '', pane);
      image.draggable = false;
      const map = this.#element('canvas', 'viewer-map', pane);
      const title = this.#element('span', 'viewer-title', pane);
      this.panes[side] = { pane, image, map, title };
    }
    this.difference = this.#element('canvas', 'viewer-difference', this.stage);
    this.line = this.#element('div', 'viewer-line', this.stage);
    this.divider = this.#element('input', 'viewer-divider', this.stage);
    Object.assign(this.divider, { type: 'range', min: 0, max: 100, value: 50 });
    this.divider.setAttribute('aria-label', 'divider between the two pictures');
    this.divider.addEventListener('input', () => this.setSplit(this.divider.value / 100));
    this.legend = this.#element('span', 'viewer-legend', this.stage);
    this.legend.append(`−${VIEWER_DIFFERENCE}`, this.#element('i', '', this.legend),
      `+${VIEWER_DIFFERENCE} levels: left darker, left brighter`);
    this.#buildGamma();
    this.stage.addEventListener('wheel', (event) => this.#wheel(event), { passive: false });
    this.stage.addEventListener('pointerdown', (event) => this.#down(event));
    this.stage.addEventListener('pointermove', (event) => this.#move(event));
    for (const end of ['pointerup', 'pointercancel']) {
      this.stage.addEventListener(end, (event) => this.#pointers.delete(event.pointerId));
    }
    this.stage.addEventListener('dblclick', (event) => {
      if (this.#isFitted) this.oneToOne(); else if (event.target !== this.divider) this.fit();
    });
    this.stage.addEventListener('keydown', (event) => this.#key(event));
  }

  #buildGamma() {
    Viewer.count = (Viewer.count ?? 0) + 1;
    this.gammaName = `viewer-gamma-${Viewer.count}`;
    const functions = ['R', 'G', 'B'].map((x) => `<feFunc${x} type="gamma"/>`).join('');
    this.root.insertAdjacentHTML('beforeend', `<svg class="viewer-svg"><filter
      id="${this.gammaName}" color-interpolation-filters="sRGB"><feComponentTransfer>
      ${functions}</feComponentTransfer></filter></svg>`);
    this.gammas = [...this.root.querySelectorAll('.viewer-svg feComponentTransfer > *')];
  }

  #buildMaps(below) {
    this.mapBox = this.#element('span', 'viewer-maps', below);
    this.mapSelect = this.#element('select', 'viewer-map-choice', this.mapBox);
    this.mapSelect.setAttribute('aria-label', 'loss map over the pictures');
    this.mapSelect.addEventListener('change', () => this.#drawMap());
    this.opacity = this.#slider(this.mapBox, 'opacity', 'opacity of the map', 0, 1, 0.6);
    this.opacity.addEventListener('input', () => this.#place());
    this.mapBox.append('0');
    this.bar = this.#element('canvas', 'viewer-colours', this.mapBox);
    this.mapBox.append('1');
  }

  #element(tag, name, parent) {
    const element = document.createElement(tag);
    if (name) element.className = name;
    parent.append(element);
    return element;
  }

  #button(parent, text, title, action) {
    const button = this.#element('button', '', parent);
    Object.assign(button, { type: 'button', textContent: text, title });
    button.setAttribute('aria-label', title);
    button.addEventListener('click', action);
    return button;
  }

  #slider(parent, text, title, min, max, value) {
    const label = this.#element('label', '', parent);
    label.append(`${text} `);
    const input = this.#element('input', '', label);
    Object.assign(input, { type: 'range', min, max, step: 0.05, value, title });
    return input;
  }

  #layer(side) {
    return this.#layers.find((x) => x.key === this.selects[side].value);
  }

  async #load() {
    for (const side of ['left', 'right']) {
      const { image, title } = this.panes[side];
      const layer = this.#layer(side);
      title.textContent = layer.title;
      image.alt = layer.title;
      if (image.getAttribute('src') !== layer.src) image.src = layer.src;
    }
    await Promise.all(['left', 'right'].map((x) => this.panes[x].image.decode()));
    const { image } = this.panes.left;
    this.#size = { width: image.naturalWidth, height: image.naturalHeight };
    this.#shape();
    if (this.#mode === 'difference') this.#drawDifference();
    if (this.#isFitted) this.fit(); else this.#place();
  }

  /* The stage has the shape of what it shows, as far as the window has room. */
  #shape() {
    const { width, height } = this.#size;
    this.stage.style.aspectRatio = `${this.#mode === 'side' ? 2 * width : width} / ${height}`;
  }

  #pane() {
    const box = this.stage.getBoundingClientRect();
    const share = this.#mode === 'side' ? 0.5 : 1;
    return { width: Math.max(1, box.width * share), height: Math.max(1, box.height) };
  }

  #place() {
    const pane = this.#pane();
    const keep = (at, length, room) => (length <= room ? (room - length) / 2
      : Math.min(0, Math.max(room - length, at)));
    this.#at = {
      x: keep(this.#at.x, this.#size.width * this.#zoom, pane.width),
      y: keep(this.#at.y, this.#size.height * this.#zoom, pane.height),
    };
    const place = (element, width, height) => {
      const scale = [this.#size.width / width, this.#size.height / height]
        .map((x) => x * this.#zoom);
      element.style.transform = `translate(${this.#at.x}px, ${this.#at.y}px) scale(${scale})`;
      element.style.imageRendering = this.#zoom >= 2 ? 'pixelated' : 'auto';
    };
    for (const { image, map } of Object.values(this.panes)) {
      place(image, image.naturalWidth || 1, image.naturalHeight || 1);
      place(map, map.width, map.height);
      map.style.opacity = this.opacity.value;
    }
    place(this.difference, this.difference.width, this.difference.height);
    const isSlider = this.#mode === 'slider';
    const { pane: left, title: leftTitle } = this.panes.left;
    const { pane: right, title: rightTitle } = this.panes.right;
    left.style.clipPath = isSlider ? `inset(0 ${100 - this.#split * 100}% 0 0)` : 'none';
    right.style.clipPath = isSlider ? `inset(0 0 0 ${this.#split * 100}%)` : 'none';
    leftTitle.hidden = isSlider && this.#split < 0.15;
    rightTitle.hidden = isSlider && this.#split > 0.85;
    this.line.style.left = `${this.#split * 100}%`;
  }

  #light() {
    const [brightness, gamma] = ['brightness', 'gamma'].map((x) => +this.sliders[x].value);
    for (const node of this.gammas) node.setAttribute('exponent', 1 / gamma);
    const isPlain = brightness === 1 && gamma === 1;
    for (const { image } of Object.values(this.panes)) {
      image.style.filter = isPlain ? ''
        : `url(#${this.gammaName}) brightness(${brightness})`;
    }
  }

  #pixels(image) {
    const share = Math.min(1, VIEWER_LARGEST / Math.max(image.naturalWidth,
      image.naturalHeight));
    const canvas = document.createElement('canvas');
    canvas.width = Math.max(1, Math.round(image.naturalWidth * share));
    canvas.height = Math.max(1, Math.round(image.naturalHeight * share));
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    return context.getImageData(0, 0, canvas.width, canvas.height);
  }

  #drawDifference() {
    const { left, right } = this.panes;
    if (!left.image.naturalWidth || !right.image.naturalWidth) return;
    const [a, b] = [this.#pixels(left.image), this.#pixels(right.image)];
    Object.assign(this.difference, { width: a.width, height: a.height });
    if (a.width !== b.width || a.height !== b.height) return;
    const luminance = (x, i) => 0.299 * x[i] + 0.587 * x[i + 1] + 0.114 * x[i + 2];
    for (let i = 0; i < a.data.length; i += 4) {
      const delta = luminance(a.data, i) - luminance(b.data, i);
      const share = Math.min(1, Math.abs(delta) / VIEWER_DIFFERENCE);
      const end = VIEWER_ENDS[delta < 0 ? 0 : 1];
      for (let c = 0; c < 3; c += 1) a.data[i + c] = 255 + share * (end[c] - 255);
      a.data[i + 3] = 255;
    }
    this.difference.getContext('2d').putImageData(a, 0, 0);
  }

  #drawBar() {
    Object.assign(this.bar, { width: 256, height: 1 });
    const context = this.bar.getContext('2d');
    this.#ramp.forEach((colour, i) => {
      context.fillStyle = `rgb(${colour.join(' ')})`;
      context.fillRect(i, 0, 1, 1);
    });
  }

  async #drawMap() {
    const map = this.#maps.find((x) => x.key === this.mapSelect.value);
    this.grey = null;
    for (const side of Object.values(this.panes)) side.map.hidden = !map;
    if (!map) return;
    const image = new Image();
    image.src = map.src;
    await image.decode();
    /* Another map, or another picture, may have been chosen meanwhile. */
    if (map !== this.#maps.find((x) => x.key === this.mapSelect.value)) return;
    this.grey = image;
    const pixels = this.#pixels(image);
    for (let i = 0; i < pixels.data.length; i += 4) {
      pixels.data.set(this.#ramp[pixels.data[i]], i);
    }
    for (const side of Object.values(this.panes)) {
      Object.assign(side.map, { width: pixels.width, height: pixels.height });
      side.map.getContext('2d').putImageData(pixels, 0, 0);
    }
    this.#place();
  }

  #zoomBy(factor) {
    const { width, height } = this.#pane();
    this.zoomTo(this.#zoom * factor, width / 2, height / 2);
  }

  #local(event) {
    const box = this.stage.getBoundingClientRect();
    const { width } = this.#pane();
    return { x: (event.clientX - box.left) % width, y: event.clientY - box.top };
  }

  #wheel(event) {
    event.preventDefault();
    const { x, y } = this.#local(event);
    this.zoomTo(this.#zoom * 2 ** (-event.deltaY / 300), x, y);
  }

  #down(event) {
    if (event.target === this.divider) return;
    this.stage.focus({ preventScroll: true });
    this.stage.setPointerCapture(event.pointerId);
    const box = this.stage.getBoundingClientRect();
    const apart = Math.abs(event.clientX - box.left - this.#split * box.width);
    const isDivider = this.#mode === 'slider' && apart < 24 && !this.#pointers.size;
    this.#pointers.set(event.pointerId, { x: event.clientX, y: event.clientY, isDivider });
  }

  #move(event) {
    this.#read(event);
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    const now = { ...before, x: event.clientX, y: event.clientY };
    this.#pointers.set(event.pointerId, now);
    const box = this.stage.getBoundingClientRect();
    if (before.isDivider) {
      this.setSplit((event.clientX - box.left) / box.width);
    } else if (this.#pointers.size === 2) {
      const [other] = [...this.#pointers].filter(([id]) => id !== event.pointerId);
      const apart = (x) => Math.hypot(x.x - other[1].x, x.y - other[1].y) || 1;
      const middle = this.#local({ clientX: (now.x + other[1].x) / 2,
        clientY: (now.y + other[1].y) / 2 });
      this.zoomTo(this.#zoom * apart(now) / apart(before), middle.x, middle.y);
    } else {
      this.#at.x += now.x - before.x;
      this.#at.y += now.y - before.y;
      this.#isFitted = false;
      this.#place();
    }
  }

  /* Says what the pictures hold under the pointer. */
  #read(event) {
    const local = this.#local(event);
    const x = Math.floor((local.x - this.#at.x) / this.#zoom);
    const y = Math.floor((local.y - this.#at.y) / this.#zoom);
    const { width, height } = this.#size;
    if (x < 0 || y < 0 || x >= width || y >= height) {
      this.readout.textContent = '';
      return;
    }
    const parts = [`x ${x}, y ${y}`];
    for (const { image, title } of Object.values(this.panes)) {
      const [r, g, b] = this.#at1(image, x, y);
      parts.push(`${title.textContent} ${r === g && g === b ? r : `${r} ${g} ${b}`}`);
    }
    if (this.grey) {
      const name = this.mapSelect.selectedOptions[0].textContent;
      parts.push(`${name} ${(this.#at1(this.grey, x, y)[0] / 255).toFixed(2)}`);
    }
    this.readout.textContent = parts.join(' · ');
  }

  #at1(image, x, y) {
    this.#probe.drawImage(image, x, y, 1, 1, 0, 0, 1, 1);
    return this.#probe.getImageData(0, 0, 1, 1).data;
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const action = {
      ' ': () => this.blink(),
      ArrowLeft: () => this.setSplit(this.#split - 0.02),
      ArrowRight: () => this.setSplit(this.#split + 0.02),
      '[': () => this.turn(-1),
      ']': () => this.turn(1),
      '+': () => this.#zoomBy(1.5),
      '=': () => this.#zoomBy(1.5),
      '-': () => this.#zoomBy(1 / 1.5),
      0: () => this.fit(),
      1: () => this.oneToOne(),
      d: () => this.setMode(this.#mode === 'difference' ? 'slider' : 'difference'),
      s: () => this.setMode(this.#mode === 'side' ? 'slider' : 'side'),
    }[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }
}

globalThis.Viewer = Viewer;
