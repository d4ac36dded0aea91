/** Control, format and surrogate characters replaced: text of others ends up in logs and on terminals. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}]/gu, '?');
}
