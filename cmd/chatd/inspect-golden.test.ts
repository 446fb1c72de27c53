/**
 * `chatd inspect-log` on the golden logs, byte for byte. When the format or the output changes on purpose:
 * `UPDATE_GOLDEN=1 bun test cmd/chatd/inspect-golden.test.ts` writes `fixtures/logs` anew; read the difference.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDisk } from "../../lib/io/disk.ts";
import { LogRefusedError } from "../../lib/log/errors.ts";
import { identity } from "../../lib/log/log.fixture.ts";
import { openLog } from "../../lib/log/wal.ts";
import { goldenLogs } from "./golden-logs.fixture.ts";
import { copyOf, fixtures, inspectLog, inspectLogAt, type Ran } from "./inspect-log.fixture.ts";

setDefaultTimeout(60_000);

const rewrite = process.env["UPDATE_GOLDEN"] === "1";
const quiet = { persisted: (): void => {}, failed: (): void => {} };
/** Long, so only of some: together they hold nearly every kind of record, and damage. */
const rawGolden = new Set(["compacted", "corrupt"]);
let scratch: string;

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "chatd-golden-"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function golden(name: string, text: string): void {
  const file = join(fixtures, name);
  if (rewrite) writeFileSync(file, text);
  expect(text).toBe(readFileSync(file, "utf8"));
}

for (const [name, { make, status }] of Object.entries(goldenLogs)) {
  describe(`the golden log "${name}"`, () => {
    const directory = join("fixtures", "logs", name);

    test("is what this build writes, byte for byte", () => {
      const disk = make();
      const folder = join(fixtures, name);
      if (rewrite) {
        rmSync(folder, { recursive: true, force: true });
        mkdirSync(folder, { recursive: true });
        for (const file of disk.list()) writeFileSync(join(folder, file), disk.contentOf(file));
      }
      expect(readdirSync(folder).filter((file) => file.endsWith(".wal"))).toEqual(disk.list());
      for (const file of disk.list()) {
        expect(Buffer.from(disk.contentOf(file)).equals(readFileSync(join(folder, file)))).toBe(true);
      }
    });

    test(`is shown as written down, with status ${status}`, async () => {
      const reports = ["--stats", "--views", "--verify"];
      const ran = await Promise.all([
        inspectLog(directory),
        inspectLog(directory, "--json"),
        inspectLogAt({ COLUMNS: "80" }, directory, ...reports),
        inspectLog(directory, "--json", ...reports),
        ...(rawGolden.has(name) ? [inspectLog(directory, "--raw")] : []),
      ]);
      for (const each of ran) expect(each.status).toBe(status);
      const [text, json, reported, jsonReported, raw] = ran as [Ran, Ran, Ran, Ran, Ran?];
      golden(`${name}/default.txt`, text.output + text.error);
      golden(`${name}/json.txt`, json.output);
      golden(`${name}/reports.txt`, reported.output);
      golden(`${name}/reports-json.txt`, jsonReported.output);
      if (raw !== undefined) golden(`${name}/raw.txt`, raw.output);
      for (const line of (json.output + jsonReported.output).split("\n")) if (line !== "") JSON.parse(line);
      for (const { output } of ran) holdsNoSecrets(output);
    });
  });
}

/** What the golden logs hold of passwords, tokens and messages, as text and in hexadecimal digits. */
function holdsNoSecrets(output: string): void {
  const bare = output.replaceAll(" ", "");
  for (const secret of ["argon2id", "77777777", "message3", "answer4", "nobodyanswers"]) {
    expect(bare).not.toContain(secret);
    if (secret !== "77777777") expect(bare).not.toContain(Buffer.from(secret.replace("e3", "e 3")).toHex());
  }
}

describe("a golden log that holds a fork", () => {
  const forked = join("fixtures", "logs", "forked");
  const run = (columns: string, ...words: string[]): Promise<Ran> =>
    inspectLogAt({ COLUMNS: columns }, forked, ...words);

  test("fits terminals of every width, and those that know no lines", async () => {
    const [wide, narrow, ascii, list, narrowList] = await Promise.all([
      run("80", "--views"),
      run("40", "--views"),
      inspectLogAt({ LANG: "C", COLUMNS: "80" }, forked, "--views"),
      run("80"),
      run("40"),
    ]);
    golden("forked/views-80.txt", wide.output);
    golden("forked/views-40.txt", narrow.output);
    golden("forked/views-ascii.txt", ascii.output);
    golden("forked/default-80.txt", list.output);
    golden("forked/default-40.txt", narrowList.output);
    const widest = ({ output }: Ran): number => Math.max(...output.split("\n").map((line) => line.length));
    for (const ran of [wide, ascii, list]) expect(widest(ran)).toBeLessThanOrEqual(80);
    for (const ran of [narrow, narrowList]) expect(widest(ran)).toBeLessThanOrEqual(40);
    expect(ascii.output).toMatch(/^[\n -~]*$/);
  });

  test("says which branch went on, and that the ops of the other came back", async () => {
    const { output } = await run("", "--views", "--json");
    const views = output
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line));
    expect(
      views.map(({ view, formed, live, fork }) => [view, formed, live !== null, fork?.ops, fork?.returned]),
    ).toEqual([
      ["1.1", true, true, undefined, undefined],
      ["2.2", true, true, undefined, undefined],
      ["3.2", true, true, undefined, undefined],
      ["4.3", false, false, 0, 0],
      ["5.3", true, false, 2, 2],
      ["6.1", true, true, undefined, undefined],
      ["7.1", true, true, undefined, undefined],
    ]);
  });
});

describe("opening a golden log", () => {
  test("finds what its name says", () => {
    const open = (name: string) => openLog(openDisk(copyOf(name, scratch)), identity, quiet);
    expect(open("sound").report).toMatchObject({ torn: null, damage: [] });
    expect(open("format-1").report).toMatchObject({ entries: 24, torn: null, damage: [] });
    expect(open("compacted").recovered.beginning?.position.index).toBeGreaterThan(10);
    expect([...open("superseded").orphans()].flat()).toHaveLength(2);
    expect(open("torn").report.torn).toMatchObject({ file: "00000002.wal", keptIn: "00000002.torn" });
    expect(open("corrupt").report.damage).toHaveLength(1);
    expect(() => open("newer")).toThrow(LogRefusedError);
  });
});
