/** The gateway's API, asked in the name of the person's token. */

const KEY = "token";

/** An answer that is an error: its HTTP status (0: there was no answer), message and problems by field. */
export class ApiError extends Error {
  constructor(status, { message, field, problems }, wait) {
    super(wait ? `${message}. Try again in ${wait} s.` : message);
    this.status = status;
    this.problems = problems ?? (field ? [{ field, message }] : []);
  }
}

export const token = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  /** Forget it; the page is told with a `refused` event, and why. */
  forget(why) {
    sessionStorage.removeItem(KEY);
    window.dispatchEvent(new CustomEvent("refused", { detail: why }));
  },
};

/** Return an answer that is no error. */
export async function request(path, options = {}) {
  const used = token.get();
  const headers = { ...options.headers, Authorization: `Bearer ${used}` };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { message: "The gateway cannot be reached: see whether it runs, and try again" });
  }
  if (answer.ok) return answer;
  const body = await answer.json().catch(() => null);
  const error = body?.error ?? { message: `The gateway answered ${answer.status}` };
  if (answer.status === 401 && used === token.get()) token.forget(error.message);
  throw new ApiError(answer.status, error, answer.headers.get("Retry-After"));
}

/** Return the JSON of an answer; `body`, if given, is sent. */
export async function json(path, body, method = body ? "POST" : "GET") {
  const content = body && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  return (await request(path, { method, ...content })).json();
}

/** Return an image as a blob. */
export async function image(path, kind) {
  return (await request(path, { headers: { Accept: kind } })).blob();
}

/** Yield [kind, data] of server-sent events. EventSource would do, but cannot send a token. */
export async function* events(path, signal) {
  const answer = await request(path, { signal });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const [, kind, data] = /^event: (.*)\ndata: (.*)$/.exec(block) ?? [];
      if (kind) yield [kind, JSON.parse(data)];
    }
  }
}
