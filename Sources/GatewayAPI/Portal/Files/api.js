// Calls of the HTTP API. The session is a cookie that no script can read; `Farbell-CSRF` proves that the
// request comes from this page.

let proof = null;
let lost = () => {};

/** A request that was refused, or did not arrive (`status` 0, `code` "offline"). */
export class Refusal extends Error {
  constructor(status, problem) {
    super(problem.detail ?? problem.code ?? String(status));
    this.status = status;
    this.code = problem.code ?? "internal_error";
    this.field = problem.field;
  }
}

/** Who hears that the session has ended. */
export function whenSignedOut(handler) { lost = handler; }

/** What requests prove themselves with from now on; null: nobody is signed in. */
export function setProof(value) { proof = value; }

/** Sends a request and returns the answer's JSON; null for an empty one. Throws a `Refusal`. */
export async function call(method, path, body, { keepalive = false } = {}) {
  try {
    return await send(method, path, body, keepalive);
  } catch (error) {
    if (error.code !== "csrf") throw error;
    // Another tab has signed in anew since.
    const session = await send("GET", "/v1/portal/session");
    if (!session) return signedOut(error);
    proof = session.csrf;
    return send(method, path, body, keepalive);
  }
}

function signedOut(error) {
  proof = null;
  lost();
  throw error;
}

async function send(method, path, body, keepalive) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (proof && method !== "GET") headers["Farbell-CSRF"] = proof;
  let answer;
  try {
    answer = await fetch(path, {
      method, headers, body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin", cache: "no-store", redirect: "error", keepalive,
    });
  } catch {
    throw new Refusal(0, { code: "offline" });
  }
  if (answer.status === 204) return null;
  const data = await answer.json().catch(() => ({}));
  if (answer.ok) return data;
  const refusal = new Refusal(answer.status, data);
  if (answer.status === 401 && proof) return signedOut(refusal);
  throw refusal;
}

/** All pages of a list. */
export async function list(path) {
  const items = [];
  let after = null;
  do {
    const query = new URLSearchParams({ limit: "1000" });
    if (after) query.set("after", after);
    const page = await call("GET", `${path}?${query}`);
    items.push(...page.items);
    after = page.next;
  } while (after && items.length < 5000);
  return items;
}
