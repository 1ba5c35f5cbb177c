/* Talks to the server of this page. A job is asked for until it is finished. */

const FINISHED = ['done', 'failed', 'cancelled'];

export class Problem extends Error {}

async function answer(response) {
  const told = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw new Problem(told.error ?? `the server answered ${response.status}`);
  }
  return told;
}

async function request(path, init) {
  try {
    return await fetch(path, init);
  } catch {
    throw new Problem('The server does not answer: is refusion serve still running?');
  }
}

export const get = async (path) => answer(await request(path));

export const postJson = async (path, content) => answer(await request(path, {
  method: 'POST', body: JSON.stringify(content),
}));

export function formOf(fields) {
  const form = new FormData();
  for (const [name, value] of fields) {
    if (value instanceof File) form.append(name, value, value.name);
    else form.append(name, value);
  }
  return form;
}

/* Fetches a file of the server as if it had been chosen. */
export async function file(path, name) {
  const response = await request(path);
  if (!response.ok) await answer(response);
  return new File([await response.blob()], name, { type: response.headers.get('content-type') });
}

/* Runs a job. `tell` hears phases; `started` gets the id, by which it can be cancelled. */
export async function run(path, fields, { tell = () => {}, started = () => {} } = {}) {
  tell('sending');
  let job = await answer(await request(path, { method: 'POST', body: formOf(fields) }));
  started(job.id);
  const start = performance.now();
  const since = () => {
    const seconds = Math.round((performance.now() - start) / 1000);
    return seconds < 3 ? '' : `, ${seconds} s`;
  };
  for (let wait = 60; !FINISHED.includes(job.state); wait = Math.min(600, wait * 1.3)) {
    tell((job.state === 'queued' && job.before ? `waiting, ${job.before} ahead of it`
      : job.phase) + since());
    await new Promise((resolve) => { setTimeout(resolve, wait); });
    job = await get(`/api/jobs/${job.id}`);
  }
  if (job.state === 'failed') throw new Problem(job.error);
  if (job.state === 'cancelled') throw new Problem('Cancelled.');
  return job;
}

export const cancel = (id) => request(`/api/jobs/${id}`, { method: 'DELETE' });

export const fileOf = (job, name) => `/api/jobs/${job.id}/files/${name}`;
