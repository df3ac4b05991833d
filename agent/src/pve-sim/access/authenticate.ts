/** Who a request is from: an API token, or a ticket from `/access/ticket` with its CSRF token. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { PveError } from '../http/pve-error.ts';
import type { AccessControl } from './access-control.ts';

const TICKET_SECONDS = 2 * 3_600; // As long as Proxmox VE's.

/** Makes and reads tickets. */
export class Authenticator {
  readonly #access: AccessControl;
  readonly #key: Uint8Array;
  readonly #now: () => number;

  /** `key` signs tickets; `nowSeconds` is the wall clock. */
  constructor(access: AccessControl, key: Uint8Array, nowSeconds: () => number) {
    this.#access = access;
    this.#key = key;
    this.#now = nowSeconds;
  }

  /** Answers `user@realm` or `user@realm!token`. Throws the 401 that Proxmox VE would answer. */
  authenticate(method: string, headers: IncomingHttpHeaders): string {
    const header = headers.authorization ?? '';
    if (/^PVEAPIToken[= ]/.test(header)) return this.#byToken(header.replace(/^PVEAPIToken[= ]/, ''));
    const cookie = /(?:^|;\s*)PVEAuthCookie=([^;]+)/.exec(headers.cookie ?? '')?.[1];
    if (cookie === undefined) throw new PveError(401, 'No ticket');
    const userid = this.#readTicket(decodeURIComponent(cookie));
    if (userid === null) throw new PveError(401, 'permission denied - invalid PVE ticket');
    if (method !== 'GET' && headers.csrfpreventiontoken !== this.#csrfToken(userid)) {
      throw new PveError(401, 'Permission denied - invalid csrf token');
    }
    return userid;
  }

  /** A ticket for a user with the right password, as `/access/ticket` answers it. */
  logIn(userid: string, password: string): { username: string; ticket: string; CSRFPreventionToken: string } {
    const user = this.#access.users.get(userid);
    const isRight =
      user !== undefined && user.enable && user.password !== undefined && isEqual(user.password, password);
    if (!isRight && this.#readTicket(password) !== userid) throw new PveError(401, 'authentication failure');
    return {
      username: userid,
      ticket: this.#makeTicket(userid),
      CSRFPreventionToken: this.#csrfToken(userid),
    };
  }

  #byToken(text: string): string {
    const match = /^([^!=]+)!([^=]+)=(.+)$/.exec(text);
    if (match === null) throw new PveError(401, "no such user ('')");
    const [, userid = '', tokenid = '', secret = ''] = match;
    const user = this.#access.users.get(userid);
    if (user === undefined) throw new PveError(401, `no such user ('${userid}')`);
    if (!user.enable) throw new PveError(401, `user '${userid}' is disabled`);
    const token = user.tokens.get(tokenid);
    if (token === undefined) throw new PveError(401, `no such token '${tokenid}' for user '${userid}'`);
    if (token.expire !== 0 && token.expire < this.#now())
      throw new PveError(401, `token '${tokenid}' access expired`);
    if (!isEqual(token.secret, secret)) throw new PveError(401, 'invalid token value!');
    return `${userid}!${tokenid}`;
  }

  #makeTicket(userid: string): string {
    const plain = `PVE:${userid}:${this.#now().toString(16).toUpperCase().padStart(8, '0')}`;
    return `${plain}::${this.#sign(plain)}`;
  }

  #readTicket(ticket: string): string | null {
    const [plain = '', signature = ''] = ticket.split('::');
    if (!isEqual(this.#sign(plain), signature)) return null;
    const [, userid = '', time = ''] = plain.split(':');
    return this.#now() - Number.parseInt(time, 16) < TICKET_SECONDS ? userid : null;
  }

  #csrfToken(userid: string): string {
    return `0000:${this.#sign(`csrf:${userid}`)}`;
  }

  #sign(text: string): string {
    return createHmac('sha256', this.#key).update(text).digest('base64');
  }
}

function isEqual(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
