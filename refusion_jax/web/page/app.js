/* The page: pictures in, options, a run, its result. */

import { cancel, get, run } from './api.js';
import { $, busy, say } from './dom.js';
import * as batch from './batch.js';
import * as intake from './intake.js';
import * as levels from './levels.js';
import * as options from './options.js';
import * as results from './results.js';
import * as sources from './sources.js';

let current = '';

async function fuse(event) {
  event.preventDefault();
  say('');
  if (!options.weights()) {
    say('Choose what these pictures are first.');
    return;
  }
  $('run').disabled = true;
  $('cancel').hidden = false;
  try {
    const job = await run('/api/fuse', [...sources.fields(), ...options.fields()], {
      tell: (text) => busy($('phase'), text), started: (id) => { current = id; },
    });
    await results.show(job);
  } catch (error) {
    say(error.message);
  } finally {
    $('run').disabled = false;
    $('cancel').hidden = true;
    busy($('phase'), '');
  }
}

async function start() {
  intake.setUp();
  sources.setUp();
  results.setUp();
  batch.setUp();
  $('options').addEventListener('submit', fuse);
  $('cancel').addEventListener('click', () => {
    busy($('phase'), 'cancelling at the end of this phase');
    cancel(current);
  });
  sources.onChange(() => {
    $('result').hidden = true;
    levels.draw(sources.chosen());
    options.guess();
  });
  try {
    options.setUp(await get('/api/weights'));
    levels.draw(sources.chosen());
  } catch (error) {
    say(error.message);
  }
}

start();
