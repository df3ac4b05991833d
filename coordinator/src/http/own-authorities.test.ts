import { describe, expect, it } from 'vitest';
import { OwnAuthorities } from './own-authorities.ts';

describe('our own names', () => {
  it('behind a proxy are the public one, and the address on which the proxy finds us', () => {
    const own = new OwnAuthorities('https://rent.example.net', '10.0.0.5');
    own.listensOn(8787);
    expect(own.has('rent.example.net')).toBe(true);
    expect(own.has('10.0.0.5:8787')).toBe(true);
    for (const foreign of ['rent.example.net:443', 'localhost:8787', '127.0.0.1:8787', 'example.net', ''])
      expect(own.has(foreign)).toBe(false);
  });

  it('on loopback are its three spellings, with the port that the system chose', () => {
    const own = new OwnAuthorities('http://localhost:80', '127.0.0.1');
    own.listensOn(40_123);
    for (const name of ['localhost', 'localhost:40123', '127.0.0.1:40123', '[::1]:40123'])
      expect(own.has(name)).toBe(true);
    expect(own.has('localhost:8787')).toBe(false);
  });

  it('take no address where all are listened on', () => {
    const own = new OwnAuthorities('https://rent.example.net', '0.0.0.0');
    own.listensOn(8787);
    expect(own.has('0.0.0.0:8787')).toBe(false);
    expect(own.has('127.0.0.1:8787')).toBe(false);
  });

  it('write IPv6 in brackets', () => {
    const own = new OwnAuthorities('https://rent.example.net', '2001:db8::1');
    own.listensOn(8787);
    expect(own.has('[2001:db8::1]:8787')).toBe(true);
  });
});

describe('our own pages', () => {
  it('come from the public address by https, and by plain http only from loopback', () => {
    const own = new OwnAuthorities('https://rent.example.net', '127.0.0.1');
    own.listensOn(8787);
    expect(own.isOwnOrigin('https://rent.example.net')).toBe(true);
    expect(own.isOwnOrigin('http://127.0.0.1:8787')).toBe(true);
    for (const foreign of [
      'http://rent.example.net',
      'https://rent.example.net.evil.example',
      'https://127.0.0.1:8787',
      'http://127.0.0.1:8788',
      'http://localhost:8787.evil.example',
      'null',
      '',
    ])
      expect(own.isOwnOrigin(foreign)).toBe(false);
  });
});
