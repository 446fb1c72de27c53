/** One short phrase per message for traces. Prints no bodies. */
import type { Standing } from "../replication/events.ts";
import type { Member, Position, ReplicaMessage } from "../protocol/messages.ts";
import { formatView } from "../protocol/ids.ts";
import { recordKind, splitRecords } from "../protocol/record.ts";

const at = (position: Position): string => `${position.index}@${formatView(position.view)}`;

export const who = (member: Member): string => `${member.pid}.${member.incarnation % 1000}`;

export function standsText({ role, ready, view, members, provisional, waitingFor }: Standing): string {
  const pids = members.map(({ pid }) => pid).join("");
  return `is ${role}${ready ? ", ready" : ""} in ${formatView(view)} with {${pids}}${provisional ? " provisional" : ""} ${waitingFor}`;
}

export function describeMessage(message: ReplicaMessage): string {
  switch (message.type) {
    case "heartbeat":
      return (
        `heartbeat ${message.role}${message.formed ? " formed" : ""}${message.stuck ? " stuck" : ""} ` +
        `installed ${formatView(message.installed)} promised ${formatView(message.promised)} ` +
        `last ${message.lastIndex}@${formatView(message.lastView)} durable ${message.durableIndex} ` +
        `commit ${message.commit} hears ${message.hears.join(",")}`
      );
    case "ask":
      return `ask (last ACT ${formatView(message.lastActView)})`;
    case "askReply":
      return `askReply ${message.verdict} (max ${formatView(message.maxSeen)})`;
    case "join":
      return `join ${formatView(message.view)}`;
    case "promised":
      return (
        `promised ${formatView(message.view)} last ${at(message.last)} commit ${message.commit}` +
        `${message.hot ? " hot" : ""}${message.damaged ? " damaged" : ""} attempts ` +
        message.attempts
          .map(({ view, formed, members }) => {
            return `${formatView(view)}${formed ? "+" : "?"}{${members.map(({ pid }) => pid).join("")}}`;
          })
          .join(" ")
      );
    case "joinRefused":
      return `joinRefused ${formatView(message.view)} ${message.reason} ${formatView(message.promised)}`;
    case "newView":
      return `newView ${formatView(message.view)} on ${at(message.base)}`;
    case "viewOk":
      return `viewOk ${formatView(message.view)}`;
    case "append":
      return `append ${formatView(message.view)} after ${at(message.previous)}: ${entries(message.records)} commit ${message.commit}`;
    case "appendOk":
      return `appendOk ${formatView(message.view)} ${message.durableIndex}${message.resendAfter === null ? "" : ` resend after ${message.resendAfter}`}`;
    case "commit":
      return `commit ${formatView(message.view)} ${message.commit}`;
    case "fetch":
      return `fetch after ${at(message.after)}`;
    case "entries":
      return `entries after ${at(message.previous)}: ${entries(message.records)} of ${message.lastIndex} commit ${message.commit}`;
    case "diverged":
      return `diverged last ${message.lastIndex}: ${message.views.map(({ view, firstIndex }) => `${formatView(view)} from ${firstIndex}`).join(", ")}`;
    case "compacted":
      return `compacted to ${at(message.position)}`;
    case "snapshotFetch":
      return `snapshotFetch ${message.snapshot === null ? "any" : at(message.snapshot.position)} from byte ${message.offset}`;
    case "snapshotOffer":
      return `snapshotOffer ${at(message.snapshot.position)}, ${message.snapshot.sizeBytes} bytes`;
    case "snapshotPart":
      return `snapshotPart ${message.bytes.length} bytes from ${message.offset}`;
    case "forward":
      return `forward ${message.ops.length} ops from ${message.first} of stream ${message.stream} in ${formatView(message.view)}`;
    case "probe":
      return "probe";
    case "probeReply":
      return `probeReply ${formatView(message.installed)}${message.formed ? " formed" : ""}${message.hot ? " hot" : ""}`;
    case "goodbye":
      return "goodbye";
  }
}

function entries(batch: Uint8Array): string {
  const records = splitRecords(batch);
  if (records === null) return "damaged";
  const [first] = records;
  const last = records.at(-1);
  if (first === undefined || last === undefined) return "nothing";
  const kinds = records.map(({ kind }) => (kind === recordKind.view ? "V" : kind === recordKind.act ? "A" : "o"));
  return `${first.index}–${last.index} ${kinds.join("").slice(0, 12)}`;
}
