type Table = readonly (readonly string[])[];

/** A table as CSV. What a spreadsheet would take for a formula is marked as text. */
export const csv = (rows: Table) => plainCsv(rows.map((row) => row.map((text) => (/^[=+\-@\t\r]/.test(text) ? `'${text}` : text))));

/** A table as CSV, each value as it is: for what goes back into a program. */
export function plainCsv(rows: Table): string {
  return rows.map((row) => `${row.map(field).join(',')}\r\n`).join('');
}

const field = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** The text of a file: UTF-8, or else what spreadsheets in China write. */
export function decoded(bytes: BufferSource): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder('gb18030').decode(bytes);
  }
}

/** Hands a table to the operator; by the mark before it spreadsheets know UTF-8. */
export function save(name: string, text: string): void {
  const address = URL.createObjectURL(new Blob(['\uFEFF', text], { type: 'text/csv;charset=utf-8' }));
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
  URL.revokeObjectURL(address);
}
