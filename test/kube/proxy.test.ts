import { expect, test } from '@jest/globals';
import { proxyFor } from '../../src/kube/proxy.ts';

const HTTPS_PROXY = 'http://proxy.example:3128';
const server = 'https://broker.corp.example:6443';

test.each([
  ['no proxy', {}, server, false],
  ['empty, as a manifest sets it', { HTTPS_PROXY: '', NO_PROXY: '' }, server, false],
  ['a proxy', { HTTPS_PROXY }, server, true],
  ['lower case', { https_proxy: HTTPS_PROXY }, server, true],
  ['other exceptions', { HTTPS_PROXY, NO_PROXY: 'other.example, 10.0.0.0/8' }, server, true],
  ['the host', { HTTPS_PROXY, NO_PROXY: 'x, broker.corp.example' }, server, false],
  ['its domain', { HTTPS_PROXY, no_proxy: 'corp.example' }, server, false],
  ['its domain with a dot', { HTTPS_PROXY, NO_PROXY: '.corp.example' }, server, false],
  ['its domain with a star', { HTTPS_PROXY, NO_PROXY: '*.corp.example' }, server, false],
  ['with a dot only what is below', { HTTPS_PROXY, NO_PROXY: '.broker.corp.example' }, server, true],
  ['only the end of a name', { HTTPS_PROXY, NO_PROXY: 'rp.example' }, server, true],
  ['its port', { HTTPS_PROXY, NO_PROXY: 'corp.example:6443' }, server, false],
  ['another port', { HTTPS_PROXY, NO_PROXY: 'corp.example:443' }, server, true],
  ['everything', { HTTPS_PROXY, NO_PROXY: '*' }, server, false],
  ['a prefix', { HTTPS_PROXY, NO_PROXY: '198.18.0.0/15' }, 'https://198.18.0.10:6443', false],
  ['an IPv6 prefix', { HTTPS_PROXY, NO_PROXY: 'fd00::/8' }, 'https://[fd00::1]:6443', false],
  ['another prefix', { HTTPS_PROXY, NO_PROXY: '10.0.0.0/8' }, 'https://198.18.0.10:6443', true],
  ['junk for an exception', { HTTPS_PROXY, NO_PROXY: '10.0.0.0/99,/,:,10.0.0.0/x' }, server, true],
  ['this machine', { HTTPS_PROXY }, 'https://localhost:6443', false],
  ['this machine by address', { HTTPS_PROXY }, 'https://127.0.0.2:6443', false],
  ['this machine by IPv6 address', { HTTPS_PROXY }, 'https://[::1]:6443', false],
  ['plain HTTP', { HTTPS_PROXY }, 'http://10.0.0.1', false],
  ['plain HTTP with its own variable', { HTTP_PROXY: HTTPS_PROXY }, 'http://10.0.0.1', true],
  ['a proxy without a scheme', { HTTPS_PROXY: 'proxy.example:3128' }, server, true],
  ['junk for a server', { HTTPS_PROXY }, 'not a url', false],
])('%s', (_name, env, url, proxied) => {
  expect(proxyFor(url, env)).toBe(proxied ? HTTPS_PROXY : undefined);
});
