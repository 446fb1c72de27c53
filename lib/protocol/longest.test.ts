/** Limits of fields against limits of frames: the longest value that the tables allow can be sent. */
import { describe, expect, test } from "bun:test";
import { limits } from "../base/limits.ts";
import { commands } from "./commands.ts";
import { frames } from "./messages.ts";
import type { Description } from "./schema.ts";

/** The bytes of the longest value a schema allows. */
function mostBytes(schema: Description): number {
  const withHead = (bytes: number): number => bytes + (bytes < 24 ? 1 : bytes < 256 ? 2 : bytes < 65536 ? 3 : 5);
  switch (schema.kind) {
    case "uint":
      return schema.max < 24 ? 1 : schema.max < 256 ? 2 : schema.max < 65536 ? 3 : 9;
    case "bool":
      return 1;
    case "text":
    case "bytes":
      return withHead(schema.maxBytes);
    case "uuid":
      return withHead(16);
    case "hash64":
      return withHead(8);
    case "oneOf":
      return Math.max(...schema.values.map((value) => withHead(value.length)));
    case "optional":
      return mostBytes(schema.of);
    case "list":
      return withHead(schema.max) - schema.max + schema.max * mostBytes(schema.of);
    case "struct":
      return 1 + schema.fields.reduce((sum, field) => sum + mostBytes(field.schema), 0);
  }
}

describe("the longest value", () => {
  // These carry records or ops: their sender stops at a limit of bytes, not of items.
  const filledByBytes = new Set(["append", "entries", "forward"]);
  for (const [type, definition] of Object.entries(frames)) {
    if (filledByBytes.has(type)) continue;
    test(`of ${type} fits into a frame`, () => {
      const fields = Object.values(definition.fields).reduce((sum, schema) => sum + mostBytes(schema), 0);
      const fromClient = definition.direction === "client" || definition.direction === "any";
      const max = fromClient ? limits.clientFrameBytesMax : limits.replicaFrameBytesMax;
      expect(1 + 2 + fields).toBeLessThanOrEqual(max);
    });
  }

  test("of a command fits into a record", () => {
    for (const definition of Object.values(commands)) {
      const fields = Object.values(definition.fields).reduce((sum, schema) => sum + mostBytes(schema), 0);
      expect(fields + 200).toBeLessThanOrEqual(limits.recordPayloadBytesMax);
    }
  });
});
