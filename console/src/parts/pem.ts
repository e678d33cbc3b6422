/** SHA-256 of the first certificate in a PEM text, as it is sent (DER), in hex; null if there is none. */
export async function fingerprint(pem: string): Promise<string | null> {
  const [, base64] = /-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----/.exec(pem) ?? [];
  if (!base64) return null;
  try {
    const der = Uint8Array.from(atob(base64.replace(/\s/g, '')), (letter) => letter.charCodeAt(0));
    const digest = await crypto.subtle.digest('SHA-256', der);
    return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
  } catch {
    return null;
  }
}
