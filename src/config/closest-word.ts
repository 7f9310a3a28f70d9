/** The word that was probably meant: the nearest by edits if it is near enough, or else the one cut short. */
export function closestWord(written: string, known: readonly string[]): string | undefined {
  const wanted = written.toLowerCase();
  // Half of a short word replaced is another word.
  const most = Math.min(3, Math.ceil(wanted.length / 3));
  let best: string | undefined;
  let least = most + 1;
  for (const word of known) {
    if (Math.abs(word.length - wanted.length) >= least) continue;
    const edits = editsBetween(wanted, word.toLowerCase());
    if (edits < least) [best, least] = [word, edits];
  }
  return best ?? completion(wanted, known);
}

function completion(start: string, known: readonly string[]): string | undefined {
  const words = start.length < 3 ? [] : known.filter((word) => word.toLowerCase().startsWith(start));
  return words.length === 1 ? words[0] : undefined;
}

/** Levenshtein's distance, one row of the table at a time. */
function editsBetween(from: string, to: string): number {
  let above = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (const [line, character] of from.split('').entries()) {
    const row = [line + 1];
    for (let column = 0; column < to.length; column += 1) {
      const replaced = (above[column] ?? 0) + (to[column] === character ? 0 : 1);
      row.push(Math.min(replaced, (above[column + 1] ?? 0) + 1, (row[column] ?? 0) + 1));
    }
    above = row;
  }
  return above.at(-1) ?? 0;
}
