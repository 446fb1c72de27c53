/** Generated files are current. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { generated } from "./main.ts";

describe("what derives from the tables is current (else run `bun run generate`)", () => {
  for (const [file, text] of generated()) {
    test(file, () => expect(readFileSync(new URL(`../../${file}`, import.meta.url), "utf8")).toBe(text));
  }
});
