// Calls to this page's server. A refused request becomes a Refused, with a message for the person.

import { nothingHeld } from "./dom.js";

const TIME_OUT = 30_000;
const TRIES = 4;
const PAUSE = 700;

export class Refused extends Error {
  constructor(status, code, words, body = {}) {
    super(words);
    this.status = status;
    this.code = code;
    this.body = body;
  }

  /** Why each field was refused, by the field's name. */
  get fields() {
    return this.body.error?.fields || [];
  }
}

const UNREACHABLE = "The server can’t be reached. Nothing you typed is lost; please try again in a moment.";
const OUR_FAULT = "Something went wrong on our side. Nothing you typed is lost; please try again in a moment.";
const BUSY = "Too many people use this page at the moment. Nothing you typed is lost; please try again in a moment.";
const SESSION_OVER = "Your time on this page is over. Open the settings from the platform again.";

export class Api extends EventTarget {
  constructor(company) {
    super();
    this.root = `/api/${encodeURIComponent(company)}/`;
  }

  get = (path, query = {}) => {
    const asked = new URLSearchParams(Object.entries(query).filter(([, value]) => value));
    return this.call("GET", asked.size ? `${path}?${asked}` : path);
  };
  put = (path, body) => this.call("PUT", path, body);
  post = (path, body = {}) => this.call("POST", path, body);
  delete = (path) => this.call("DELETE", path);

  async call(method, path, body) {
    const headers = { Accept: "application/json" };
    if (method !== "GET") headers["Content-Type"] = "application/json";
    let answer, content, parsed;
    for (let tries = 1; ; tries++) {
      try {
        answer = await fetch(this.root + path, {
          method,
          headers,
          // a text is JSON already
          body: body === undefined || typeof body === "string" ? body : JSON.stringify(body),
          credentials: "same-origin",
          cache: "no-store",
          signal: AbortSignal.timeout(TIME_OUT),
        });
        content = await answer.text();
      } catch {
        await nothingHeld();
        throw new Refused(0, "unreachable", UNREACHABLE);
      }
      await nothingHeld();
      parsed = parse(content);
      // Without an error of ours the request was refused on its way here. A 503 may also mean that it took too long.
      const busy = answer.status === 429 || (answer.status === 503 && method === "GET");
      if (!busy || parsed?.error) break;
      if (tries === TRIES) throw new Refused(answer.status, "busy", BUSY);
      await new Promise((resume) => setTimeout(resume, tries * (0.5 + Math.random()) * PAUSE));
    }
    if (answer.ok && parsed) return parsed;
    if (answer.status === 401) {
      this.dispatchEvent(new Event("session-over"));
      throw new Refused(401, "session_over", SESSION_OVER);
    }
    const error = parsed?.error;
    throw new Refused(answer.status, error?.code || "unexpected", error?.message || OUR_FAULT, parsed || {});
  }
}

function parse(content) {
  try {
    return JSON.parse(content || "{}");
  } catch {
    return null;
  }
}
