/**
 * What can be seen to be wrong with a request before it is sent: whatever the strict decoder at the other end would
 * answer by closing the connection. What depends on state (who exists, who is logged in) is the server's to say.
 */
import { limits } from "../base/limits.ts";
import type { ErrorCode } from "../protocol/messages.ts";
import type { OpRequest, QueryRequest, Refused } from "./types.ts";

/** Null when the request can be sent. */
export function refusalOf(request: OpRequest | QueryRequest): Refused | null {
  switch (request.type) {
    case "createAccount":
    case "login":
      return nameRefusal(request.user) ?? passwordRefusal(request.password);
    case "deleteAccount":
      return passwordRefusal(request.password);
    case "send":
      return (
        nameRefusal(request.to) ?? textRefusal(request.text, limits.textBytesMax, "too-long", "A text", "bad-command")
      );
    case "open":
      return countRefusal("count", request.count, limits.openMax);
    case "mark":
    case "deleteMessages":
      return request.ids.length > limits.pageMax
        ? refused("too-many", `At most ${limits.pageMax} messages at once, not ${request.ids.length}.`)
        : null;
    case "accounts":
      return (
        countRefusal("limit", request.limit, limits.pageMax) ??
        (request.after === null ? null : nameRefusal(request.after)) ??
        (request.pattern === null
          ? null
          : textRefusal(request.pattern, limits.patternBytesMax, "bad-pattern", "A pattern", "bad-pattern"))
      );
    case "messages":
      return (
        countRefusal("limit", request.limit, limits.pageMax) ??
        (request.with === null ? null : nameRefusal(request.with)) ??
        (request.before === null ? null : countRefusal("before", request.before, Number.MAX_SAFE_INTEGER))
      );
    case "conversations":
      return (
        countRefusal("limit", request.limit, limits.pageMax) ??
        (request.after === null ? null : countRefusal("after", request.after.index, Number.MAX_SAFE_INTEGER))
      );
    case "search":
      return (
        countRefusal("limit", request.limit, limits.pageMax) ??
        countRefusal("skip", request.skip, limits.searchSkipMax) ??
        (request.with === null ? null : nameRefusal(request.with)) ??
        textRefusal(request.text, limits.patternBytesMax, "bad-pattern", "A search", "bad-pattern")
      );
    case "changePassword":
      return passwordRefusal(request.password) ?? passwordRefusal(request.newPassword);
    case "resetPassword":
      return nameRefusal(request.user) ?? passwordRefusal(request.newPassword);
    case "endSessions": {
      const { sessions } = request;
      if (sessions.length > limits.pageMax) {
        return refused("too-many", `At most ${limits.pageMax} sessions at once, not ${sessions.length}.`);
      }
      const long = sessions.find((session) => !session.isWellFormed() || Buffer.byteLength(session) > uuidCharacters);
      return long === undefined ? null : refused("no-such-session", "One of these is no session of yours.");
    }
    case "saveDraft":
      return (
        (request.to === "" ? null : nameRefusal(request.to)) ??
        textRefusal(request.text, limits.textBytesMax, "too-long", "A text", "bad-command")
      );
    case "deleteDrafts":
      return request.drafts.length > limits.pageMax
        ? refused("too-many", `At most ${limits.pageMax} drafts at once, not ${request.drafts.length}.`)
        : null;
    case "logout":
    case "sendDraft":
    case "inbox":
    case "drafts":
    case "sessions":
    case "status":
      return null;
  }
}

const uuidCharacters = 36;
const nameBytesMax = 4 * limits.userNameCharactersMax;

const nameRefusal = (name: string): Refused | null =>
  textRefusal(name, nameBytesMax, "bad-name", "A user name", "bad-name");

const passwordRefusal = (password: string): Refused | null =>
  textRefusal(password, limits.passwordBytesMax, "bad-password", "A password", "bad-password");

/** `long` is the code for too many bytes, `broken` for what is no text at all. */
function textRefusal(text: string, bytesMax: number, long: ErrorCode, what: string, broken: ErrorCode): Refused | null {
  if (!text.isWellFormed()) return refused(broken, `${what} must be Unicode: this one holds half of a surrogate pair.`);
  // A UTF-16 unit is at most three bytes: most texts need not be measured.
  if (text.length * 3 <= bytesMax) return null;
  const bytes = Buffer.byteLength(text);
  return bytes <= bytesMax ? null : refused(long, `${what} is at most ${bytesMax} bytes long, this one ${bytes}.`);
}

function countRefusal(field: string, value: number, max: number): Refused | null {
  return Number.isSafeInteger(value) && value >= 0 && value <= max
    ? null
    : refused("bad-command", `"${field}" must be a whole number of at most ${max}.`);
}

function refused(code: ErrorCode, message: string): Refused {
  return { type: "refused", code, message };
}
