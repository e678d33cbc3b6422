/** A moment by the operator's clock, with its zone. */
export const timeText = (language: string, at: string) => new Date(at).toLocaleString(language, { dateStyle: 'medium', timeStyle: 'long' });

/** The zone of the operator's clock, as `GMT+8`. */
export function zoneText(language: string): string {
  const parts = new Intl.DateTimeFormat(language, { timeZoneName: 'short' }).formatToParts();
  return parts.find(({ type }) => type === 'timeZoneName')?.value ?? '';
}

/** A moment as an input of date and time has it, by the operator's clock, to the minute; empty if there is none. */
export function clockOf(moment: unknown): string {
  if (typeof moment !== 'string') return '';
  const at = new Date(moment);
  return new Date(at.getTime() - 60_000 * at.getTimezoneOffset()).toISOString().slice(0, 16);
}

/** The moment of such an input; null if it is empty. */
export function momentOf(clock: unknown): string | null {
  return typeof clock === 'string' && clock !== '' ? new Date(clock).toISOString() : null;
}
