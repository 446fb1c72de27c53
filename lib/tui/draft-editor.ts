/** The questions by which a draft is written or changed where there are screens: its recipient, then its text. */
import { limits } from "../base/limits.ts";
import type { ChatContext } from "./context.ts";
import type { Draft } from "./drafts.ts";
import { draftOf } from "./editor.ts";
import { byteLength, nameComplaint } from "./sentences.ts";

/**
 * Asks for the recipient and the text of a draft, a new one if it is null; the draft as it is then, null when it stays.
 * What cannot be saved is asked for again as it was typed.
 */
export async function editDraft(context: ChatContext, draft: Draft | null): Promise<Draft | null> {
  const { surface, drafts } = context;
  let [to, text] = [draft?.to ?? context.partner ?? "", draft?.text ?? ""];
  for (;;) {
    const whom = await askRecipient(context, to);
    const written = whom === null ? null : await askText(context, text);
    if (whom === null || written === null) return null;
    [to, text] = [whom, written];
    const answer = await surface.busy("Saving", drafts.save(draft?.draft ?? null, to, text));
    if (answer.type !== "refused") {
      surface.say({ tone: "good", text: "Draft saved." });
      return { draft: answer.draft, to, text, at: Date.now() };
    }
    surface.say({ tone: "bad", text: `Not saved: ${answer.message}`, failed: true });
    if (answer.code === "not-logged-in") return null;
  }
}

/** "" for nobody yet; null when the user went back. */
async function askRecipient({ surface, questions }: ChatContext, to: string): Promise<string | null> {
  const answer = await surface.ask({
    kind: "field",
    label: "To (may stay empty)",
    initial: draftOf(to),
    back: true,
    accept: (typed) => (typed.trim() === "" ? null : nameComplaint(typed.trim().replace(/^@/, ""))),
    complete: (before) => questions.knownNames().filter((name) => name.toLowerCase().startsWith(before.toLowerCase())),
  });
  return answer.type === "line" ? answer.text.trim().replace(/^@/, "") : null;
}

/** Null when the user went back. */
async function askText({ surface }: ChatContext, text: string): Promise<string | null> {
  const answer = await surface.ask({
    kind: "prompt",
    label: "Text",
    initial: draftOf(text),
    back: true,
    accept: (typed) => {
      if (typed.trim() === "") return "Type a text; Escape leaves the draft as it was.";
      const bytes = byteLength(typed);
      return bytes > limits.textBytesMax ? `too long: ${bytes} of ${limits.textBytesMax} bytes` : null;
    },
  });
  return answer.type === "line" ? answer.text : null;
}
