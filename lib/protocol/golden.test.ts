/**
 * Golden frames: `fixtures/wire/<table>/<name>.json` holds a value and its bytes, for this project and for whoever
 * writes another client. Byte strings and hashes are hexadecimal; a frame's bytes begin with its length prefix.
 */
import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import {
  decodeCommand,
  decodeEntry,
  decodeFrame,
  encodeCommand,
  encodeEntry,
  encodeFrame,
  framePrefixBytes,
} from "./codec.ts";
import { commands, type Command } from "./commands.ts";
import { entries, type EntryPayload } from "./entries.ts";
import { frames, type Frame } from "./messages.ts";
import { fromJson, sampleOf, toJson } from "./samples.fixture.ts";
import { struct, type Definition } from "./schema.ts";

const folder = new URL("../../fixtures/wire/", import.meta.url).pathname;
const rewrite = process.env["UPDATE_GOLDEN"] === "1";
const howTo = (path: string): string =>
  `${path} is missing or does not hold what is encoded now. For a new or changed definition run ` +
  "`UPDATE_GOLDEN=1 bun test lib/protocol/golden.test.ts && bun run generate`, edit its value to something telling, " +
  "run it again, and look at the difference: bytes that changed for an old frame are a new version of the protocol.";

interface Golden {
  readonly number: number;
  readonly value: Readonly<Record<string, unknown>>;
  readonly bytes: string;
}

interface Table {
  readonly name: string;
  readonly definitions: Readonly<Record<string, Definition>>;
  readonly encode: (value: { readonly type: string }) => Uint8Array;
  readonly decode: (bytes: Uint8Array, number: number) => { readonly type: string };
}

const tables: readonly Table[] = [
  {
    name: "frames",
    definitions: frames,
    encode: (value) => encodeFrame(value as Frame),
    decode: (bytes) => decodeFrame(bytes.subarray(framePrefixBytes)),
  },
  {
    name: "commands",
    definitions: commands,
    encode: (value) => encodeCommand(value as Command),
    decode: decodeCommand,
  },
  {
    name: "entries",
    definitions: entries,
    encode: (value) => encodeEntry(value as EntryPayload),
    decode: (bytes, number) => decodeEntry(number, bytes),
  },
];

function load(path: string): Golden | null {
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as Golden) : null;
}

for (const { name, definitions, encode, decode } of tables) {
  describe(`golden ${name}`, () => {
    for (const [type, definition] of Object.entries(definitions)) {
      test(type, () => {
        const path = `${folder}${name}/${type}.json`;
        const schema = struct(type, definition.fields);
        const valueOf = (json: unknown) => ({ type, ...(fromJson(schema, json) as object) });
        if (rewrite) {
          const sample = toJson(schema, sampleOf(schema, type)) as Record<string, unknown>;
          const known = load(path)?.value ?? {};
          const value = Object.fromEntries(Object.keys(sample).map((field) => [field, known[field] ?? sample[field]]));
          // A null that the file already holds is meant.
          for (const field of Object.keys(sample)) if (known[field] === null) value[field] = null;
          const golden: Golden = { number: definition.number, value, bytes: encode(valueOf(value)).toHex() };
          mkdirSync(`${folder}${name}`, { recursive: true });
          writeFileSync(path, `${JSON.stringify(golden, null, 2)}\n`);
        }
        const golden = load(path);
        if (golden === null) throw new Error(howTo(path));
        const value = valueOf(golden.value);
        if (golden.number !== definition.number || encode(value).toHex() !== golden.bytes) throw new Error(howTo(path));
        expect(decode(Uint8Array.fromHex(golden.bytes), golden.number)).toEqual(value);
      });
    }

    test("there are no others", () => {
      const known = Object.keys(definitions).map((type) => `${type}.json`);
      expect(readdirSync(`${folder}${name}`).toSorted()).toEqual(known.toSorted());
    });
  });
}
