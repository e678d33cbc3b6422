import { Store } from './store';

const KEY = 'otaru-token';

export interface Session {
  /** The administrator's token, or none. */
  token: string | null;
  /** The platform no longer takes the token: the page stays as it is until there is another. */
  refused: boolean;
}

/** Who is signed in, shared by the tabs of this browser. */
export const session = new Store<Session>({ token: localStorage.getItem(KEY), refused: false });

export function signIn(token: string): void {
  localStorage.setItem(KEY, token);
  session.set({ token, refused: false });
}

export function signOut(): void {
  localStorage.removeItem(KEY);
  session.set({ token: null, refused: false });
}

/** Only the token that was sent is refused: another may have been given meanwhile. */
export function refuse(token: string): void {
  const now = session.get();
  if (now.token === token) session.set({ ...now, refused: true });
}

window.addEventListener('storage', (event) => {
  if (event.key === KEY) session.set({ token: event.newValue, refused: false });
});
