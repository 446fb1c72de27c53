/**
 * The tables of `lib/protocol/README.md` as Markdown. Pure: makes text, writes nothing.
 */
import { limits } from "../../lib/base/limits.ts";
import { commands } from "../../lib/protocol/commands.ts";
import { entries } from "../../lib/protocol/entries.ts";
import { errorCode, frames } from "../../lib/protocol/messages.ts";
import type { Definition, Description, Direction } from "../../lib/protocol/schema.ts";
import { errorNotes, limitNotes, refusalNotes } from "./notes.ts";

type Definitions = Readonly<Record<string, Definition>>;

/** Frames that this kind of peer may send, `any` included. */
const sentBy = (...directions: readonly Direction[]): Definitions =>
  Object.fromEntries(Object.entries(frames).filter(([, definition]) => directions.includes(definition.direction)));

export const tables = {
  "frames-any": () => definitionTable(sentBy("any")),
  "frames-client": () => definitionTable(sentBy("client")),
  "frames-server": () => definitionTable(sentBy("server")),
  "frames-replica": () => definitionTable(sentBy("replica")),
  commands: () => definitionTable(commands),
  entries: () => definitionTable(entries),
  structs: structTable,
  limits: () => table(["limit", "value", "what it bounds"], limitRows()),
  "error-codes": () => table(["code", "meaning"], codeRows(errorNotes)),
  "refusal-codes": () =>
    table(["code", "meaning"], codeRows(refusalNotes, errorCode.kind === "oneOf" ? errorCode.values : [])),
} as const;

function definitionTable(definitions: Definitions): string {
  const rows = Object.entries(definitions)
    .toSorted(([, a], [, b]) => a.number - b.number)
    .map(([type, definition]) => [String(definition.number), `\`${type}\``, definition.about, fieldsOf(definition)]);
  return table(["no.", "name", "what it says", "fields after the number, in order"], rows);
}

const fieldsOf = (definition: Definition): string =>
  Object.entries(definition.fields)
    .map(([name, schema]) => `${name} ${typeOf(schema)}`)
    .join(", ") || "none";

/** A type in a table's few words; the CDDL has it in full. */
function typeOf(schema: Description): string {
  switch (schema.kind) {
    case "uint":
      if (schema.as === "view") return "*view*";
      return schema.max === Number.MAX_SAFE_INTEGER ? "*uint*" : `*0…${schema.max}*`;
    case "text":
      return `*text ≤ ${schema.maxBytes}*`;
    case "bytes":
      return schema.minBytes === schema.maxBytes
        ? `*${schema.minBytes} bytes*`
        : `*bytes ${schema.minBytes}…${schema.maxBytes}*`;
    case "oneOf":
      return schema.values.map((value) => `"${value}"`).join(" or ");
    case "optional":
      return `${typeOf(schema.of)} or *null*`;
    case "list":
      return `[≤ ${schema.max} × ${typeOf(schema.of)}]`;
    case "struct":
      return `*${schema.name}*`;
    default:
      return `*${schema.kind}*`;
  }
}

function structTable(): string {
  const structs = new Map<string, string>();
  const visit = (schema: Description): void => {
    if (schema.kind === "list" || schema.kind === "optional") visit(schema.of);
    if (schema.kind !== "struct") return;
    structs.set(schema.name, schema.fields.map((field) => `${field.name} ${typeOf(field.schema)}`).join(", "));
    for (const field of schema.fields) visit(field.schema);
  };
  for (const definitions of [frames, commands, entries]) {
    for (const definition of Object.values(definitions)) Object.values(definition.fields).forEach(visit);
  }
  return table(
    ["struct", "an array of"],
    [...structs].map(([name, fields]) => [name, fields]),
  );
}

const limitRows = (): string[][] =>
  Object.entries(limits).map(([name, value]) => [
    `\`${name}\``,
    value.toLocaleString("en-US"),
    limitNotes[name as keyof typeof limits],
  ]);

const codeRows = (notes: Readonly<Record<string, string>>, order: readonly string[] = Object.keys(notes)): string[][] =>
  order.map((code) => [`\`${code}\``, notes[code] ?? ""]);

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(heads), `|${heads.map(() => "---").join("|")}|`, ...rows.map(line)].join("\n");
}
