/**
 * Choosing from the items of a page, as pure functions: what is chosen and marked, and what a key does to it. Choices are
 * kept by id, so that items may come, go and change places meanwhile. Draws nothing.
 */
import type { Key } from "./keys.ts";
import type { Page, Picked } from "./surface.ts";

export interface Choice {
  /** The id of the item chosen; null before anything was. */
  readonly id: string | null;
  /** Where it stood when it was chosen: what is there now is chosen when it has gone. */
  readonly at: number;
  readonly marked: ReadonlySet<string>;
}

export const nothingChosen: Choice = { id: null, at: 0, marked: new Set() };

/** The place of the item chosen among the items, -1 when there are none. */
export function chosenAt(page: Page, choice: Choice): number {
  const last = page.items.length - 1;
  if (choice.id === null) return page.start === "first" ? Math.min(0, last) : last;
  const found = page.items.findIndex(({ id }) => id === choice.id);
  return found >= 0 ? found : Math.min(choice.at, last);
}

/** What a key does: another choice, or the end of choosing; null when the key means nothing here. */
export function press(page: Page, choice: Choice, pressed: Key, pageRows: number): Choice | Picked | null {
  const at = chosenAt(page, choice);
  const item = page.items[at];
  switch (pressed.meta ? "" : motion(pressed)) {
    case "up":
      return moved(page, choice, at - 1);
    case "down":
      return moved(page, choice, at + 1);
    case "pageup":
      return moved(page, choice, at - pageRows);
    case "pagedown":
      return moved(page, choice, at + pageRows);
    case "home":
      return moved(page, choice, 0);
    case "end":
      return moved(page, choice, page.items.length - 1);
    case "return":
      return item === undefined ? null : { type: "item", id: item.id };
    case "escape":
    case "left":
      return { type: "back" };
    default:
      return letter(page, choice, pressed, at);
  }
}

export function isPicked(outcome: Choice | Picked): outcome is Picked {
  return "type" in outcome;
}

/** What a key of the page works on: what is marked, in the order shown, or else the item chosen. */
export function worked(page: Page, choice: Choice): string[] {
  const marked = page.items.map(({ id }) => id).filter((id) => choice.marked.has(id));
  if (marked.length > 0) return marked;
  const item = page.items[chosenAt(page, choice)];
  return item === undefined ? [] : [item.id];
}

function motion({ name, ctrl, text }: Key): string {
  if (ctrl) return name === "p" ? "up" : name === "n" ? "down" : "";
  if (name === "right") return "return";
  return text === "" ? name : "";
}

function moved(page: Page, choice: Choice, to: number): Choice {
  const at = Math.max(0, Math.min(to, page.items.length - 1));
  const item = page.items[at];
  return item === undefined ? choice : { ...choice, id: item.id, at };
}

function letter(page: Page, choice: Choice, pressed: Key, at: number): Choice | Picked | null {
  const name = pressed.text === "" ? pressed.name : pressed.text.toLowerCase();
  const item = page.items[at];
  if (pressed.text === " " && page.marks && item !== undefined) {
    const marked = new Set(choice.marked);
    if (!marked.delete(item.id)) marked.add(item.id);
    return { ...moved(page, choice, at + 1), marked };
  }
  if (page.keys.some((key) => key.name === name)) return { type: "key", name, ids: worked(page, choice) };
  const lettered = page.items.find((each) => each.letter === name);
  return lettered === undefined ? null : { type: "item", id: lettered.id };
}
