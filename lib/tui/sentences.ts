/**
 * What is said to the user, as functions of what is the case: times, acknowledgements, connections, replicas, and what
 * is wrong with what was typed. Pure; the current time is handed in.
 */
import { limits } from "../base/limits.ts";
import type { DraftsSent } from "../client/drafts.ts";
import type { ConnectionState, Refused } from "../client/types.ts";
import type { FrameOf, ReplicaStatus } from "../protocol/messages.ts";
import { formatView } from "../protocol/ids.ts";
import type { Fate, Line } from "./surface.ts";
import type { Symbols } from "./theme.ts";

export type Connected = Extract<ConnectionState, { state: "connected" | "reconnected" }>;

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"] as const;

/** A time of day in local time, with the date when it is another day. Milliseconds since the epoch. */
export function clockTime(atMs: number, nowMs: number): string {
  const at = new Date(atMs);
  const now = new Date(nowMs);
  const time = `${String(at.getHours()).padStart(2, "0")}:${String(at.getMinutes()).padStart(2, "0")}`;
  if (at.toDateString() === now.toDateString()) return time;
  const day = `${at.getDate()} ${months[at.getMonth()] ?? ""}`;
  return at.getFullYear() === now.getFullYear() ? `${day} ${time}` : `${day} ${at.getFullYear()} ${time}`;
}

export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 60_000)} min`;
}

export function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}

/** How safe an acknowledged message is: on `copies` disks of `replicas` (0 when not known yet). */
export function onDisks(copies: number, replicas: number): Pick<Fate, "tone" | "text"> {
  if (copies >= replicas) return { tone: "dim", text: `on ${count(copies, "disk")}` };
  if (copies <= 1) return { tone: "warning", text: `on ${count(copies, "disk")}: degraded` };
  return { tone: "warning", text: `on ${copies} of ${replicas} disks` };
}

/** Refused means that nothing was changed; only `unknown` leaves open whether it was. */
export function refusedFate(refused: Refused): Omit<Fate, "when"> {
  if (refused.code === "unknown") {
    return { tone: "warning", text: `outcome unknown: ${refused.message}`, failed: true };
  }
  return { tone: "bad", text: `failed: ${refused.message}`, failed: true };
}

export function connectedLine(now: Connected, replicas: number, symbols: Symbols): Line {
  const disks = onDisks(now.copies, replicas);
  const text = `connected to replica ${now.replica} (${now.address}) ${symbols.dot} messages are kept ${disks.text}`;
  return { tone: disks.tone === "dim" ? "info" : "warning", text };
}

export function movedLine(lost: number | null, now: Connected, symbols: Symbols): Line {
  const gone = lost === null ? "" : `replica ${lost} lost ${symbols.dot} `;
  const again = lost === now.replica ? "again" : "now";
  return { tone: "info", text: `${gone}${again} on replica ${now.replica} after ${duration(now.afterMs)}` };
}

/** After a change of the view, what it means for the messages to come; how many replicas there were, and are now. */
export function copiesLine(before: Connected, now: Connected, replicasBefore: number, replicas: number): Line | null {
  if (now.copies === before.copies) return null;
  const disks = onDisks(now.copies, replicas);
  const fewer = now.copies < before.copies;
  // Where the number of replicas has gone the same way somebody has changed the cluster: nothing is away, or back.
  const isMeant = replicasBefore > 0 && (fewer ? replicas < replicasBefore : replicas > replicasBefore);
  const [gone, come] = isMeant ? ["was removed", "was added"] : ["is away", "is back"];
  const kept = now.copies === 1 && fewer && replicas !== 1 ? "on 1 disk only now: degraded" : `${disks.text} now`;
  const isWhole = isMeant && disks.tone === "dim";
  const tone = !fewer ? "good" : isWhole ? "info" : "warning";
  return { tone, text: `a replica ${fewer ? gone : come}: messages are kept ${kept}` };
}

export function provisionalLine(): Line {
  const text =
    "after a total stop not every replica is back: what only the missing ones hold is added when they return";
  return { tone: "warning", text };
}

export function statusText(status: FrameOf<"statusReport">, symbols: Symbols): Line {
  const disks = onDisks(status.copies, status.replicas.length);
  const primary = status.primary === 0 ? "no primary" : `primary ${status.primary}`;
  const head = [
    `replica ${status.replica} answers`,
    primary,
    `view ${formatView(status.view)}`,
    `policy ${status.policy}`,
    disks.text,
    ...(status.provisional ? ["provisional"] : []),
  ];
  const rows = status.replicas.map((replica) => replicaRow(replica, symbols));
  return { tone: "info", text: [head.join(` ${symbols.dot} `), ...rows].join("\n") };
}

function replicaRow(replica: ReplicaStatus, symbols: Symbols): string {
  const mark = replica.role === "unreachable" ? symbols.away : symbols.online;
  const facts = [`${mark} ${replica.pid} ${replica.address} ${replica.role}`];
  if (replica.role !== "unreachable") {
    facts.push(`log ${replica.index}`, ...(replica.lag > 0 ? [`${replica.lag} behind`] : []));
    facts.push(count(replica.connections, "client"));
  }
  return facts.join(` ${symbols.dot} `);
}

/** What became of several drafts that were sent. */
export function sentLines({ sent, refused }: DraftsSent): Line[] {
  const rest = refused.map(({ refusal }): Line => {
    return { tone: "bad", text: `One was not sent: ${refusal.message}`, failed: true };
  });
  return [{ tone: "good", text: `${count(sent.length, "draft")} sent.` }, ...rest];
}

/** What stands around what a search has found, and what it found, in turn. */
export function snippetParts(snippet: string): string[] {
  return snippet.replaceAll("\u0003", "\u0002").split("\u0002");
}

/** What a merge adds to the second account of a name. */
const mergedSuffix = /~[1-9][0-9]{0,5}$/;

/**
 * Whether an account of this name was given `name` at first, and got its suffix when two sides of a partition met. Its
 * owner may still sign in as `name`. The name is cut so that the whole is no longer than a name may be.
 */
export function wasCalled(account: string, name: string): boolean {
  const [suffix] = mergedSuffix.exec(account) ?? [];
  if (suffix === undefined) return false;
  const cut = Array.from(name.normalize("NFC")).slice(0, limits.userNameCharactersMax - suffix.length);
  return sameName(account, cut.join("") + suffix);
}

/** What is plainly wrong with a user name; the server knows more. Null when nothing is. */
export function nameComplaint(name: string): string | null {
  const normalised = name.normalize("NFC");
  if (normalised === "") return "Type a name.";
  if (Array.from(normalised).length > limits.userNameCharactersMax) {
    return `A name has at most ${limits.userNameCharactersMax} characters.`;
  }
  if (!/^[\p{L}\p{M}\p{N}._-]+$/u.test(normalised.replace(mergedSuffix, ""))) {
    return "A name is made of letters, digits and . _ - only.";
  }
  return /[\p{L}\p{N}]/u.test(normalised) ? null : "A name has at least one letter or digit.";
}

export function passwordComplaint(password: string): string | null {
  const bytes = byteLength(password);
  if (bytes < limits.passwordBytesMin) return `A password has at least ${limits.passwordBytesMin} bytes.`;
  return bytes > limits.passwordBytesMax ? `A password has at most ${limits.passwordBytesMax} bytes.` : null;
}

export function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

/** Whether two spellings name the same account: case does not count. */
export function sameName(one: string, other: string): boolean {
  return one.normalize("NFC").toLowerCase() === other.normalize("NFC").toLowerCase();
}

/** `how`: what reads it. */
export function inboxText(number: number, how = "/open reads"): string {
  if (number === 0) return "Your inbox is empty.";
  return `${count(number, "message")} ${number === 1 ? "waits" : "wait"} in your inbox: ${how}`;
}

/** What somebody who comes back is told. */
export function returnLines(inbox: number, isLinear: boolean): Line[] {
  const waiting: Line = {
    tone: inbox > 0 ? "good" : "dim",
    text: inboxText(inbox, isLinear ? "/open reads" : "press i"),
  };
  return isLinear ? [waiting, { tone: "dim", text: "/help lists the commands." }] : [waiting];
}

/** How a first run explains itself. */
export function newcomerLines(isLinear: boolean): Line[] {
  const texts = isLinear
    ? [
        "Talk to someone: type /to and a name, then lines, each sent with Enter.",
        "What others write appears above your line while you type.",
        "/accounts shows who there is, /help all commands, /quit leaves.",
      ]
    : [
        "w and a name begins a conversation.",
        "What comes appears above your line.",
        "Esc leads back here, Ctrl-C twice quits.",
      ];
  return texts.map((text): Line => ({ tone: "plain", text }));
}
