/**
 * `bun run generate`: writes what derives from the protocol's tables, `lib/protocol/wire.cddl` and the parts of
 * `lib/protocol/README.md` between `<!-- generated: name -->` and `<!-- end -->`. A test checks that both are current.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { cddl } from "./cddl.ts";
import { conversationText } from "./conversation.ts";
import { tables } from "./tables.ts";

const root = new URL("../../", import.meta.url).pathname;

const parts: Readonly<Record<string, () => string>> = {
  ...tables,
  conversation: () => conversationText(`${root}fixtures/wire/frames`),
};

/** Every generated file, relative to the project, and what it should hold. */
export function generated(): ReadonlyMap<string, string> {
  const readme = "lib/protocol/README.md";
  return new Map([
    ["lib/protocol/wire.cddl", cddl()],
    [readme, fillIn(readFileSync(root + readme, "utf8"), readme)],
  ]);
}

/** Replaces what is between the markers. Throws if a marker names nothing, or a part has no marker. */
function fillIn(text: string, file: string): string {
  const missing = new Set(Object.keys(parts));
  const filled = text.replace(
    /(<!-- generated: (\S+) -->\n).*?(<!-- end -->)/gs,
    (_, begin: string, name: string, end: string) => {
      const part = parts[name];
      if (part === undefined) throw new Error(`${file}: there is nothing to generate named ${name}`);
      missing.delete(name);
      return `${begin}\n<!-- prettier-ignore-start -->\n${part()}\n<!-- prettier-ignore-end -->\n\n${end}`;
    },
  );
  if (missing.size > 0) throw new Error(`${file}: no place marked for ${[...missing].join(", ")}`);
  return filled;
}

if (import.meta.main) {
  for (const [file, text] of generated()) {
    writeFileSync(root + file, text);
    console.log(`wrote ${file}`);
  }
}
