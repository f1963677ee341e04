// What the whole page knows of the station: its state, asked for every other second, and whether
// anybody answers.

const EVERY_MS = 1500;
const PATIENCE_MS = 2500;

export const station = {
  status: null,
  up: null, // null: not known yet
  since: null, // when the connection was lost
};

const listeners = new Set();
let timer = 0;

export function listen(listener) {
  listeners.add(listener);
  if (station.up !== null) listener();
  return () => listeners.delete(listener);
}

function tell() {
  for (const listener of [...listeners]) listener();
}

export function learn(status) {
  station.status = status;
  station.up = true;
  station.since = null;
  tell();
}

export function lose() {
  if (station.up === false) return;
  station.up = false;
  station.since = new Date();
  tell();
}

// An answer of the service, or an error that says what is wrong in one line.
export async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { cache: "no-store", credentials: "same-origin", signal: AbortSignal.timeout(10000), ...options });
  } catch {
    throw new Error("the service does not answer");
  }
  if (answer.status === 401) {
    location.assign("/login");
    throw new Error("the token is needed again");
  }
  if (!answer.ok) throw Object.assign(new Error((await answer.text()).trim().slice(0, 300)), { status: answer.status });
  return answer.json();
}

export async function look() {
  clearTimeout(timer);
  try {
    learn(await ask("/api/status", { signal: AbortSignal.timeout(PATIENCE_MS) }));
  } catch {
    lose();
  }
  timer = setTimeout(look, document.hidden ? 4 * EVERY_MS : EVERY_MS);
}
