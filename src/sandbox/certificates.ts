import { type KeyObject, createHash, createPublicKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { isIP } from 'node:net';

/** PEM certificate and PKCS 8 private key. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** A certificate authority that can issue certificates (P-256, ECDSA with SHA-256). */
export interface CertificateAuthority extends Certificate {
  readonly privateKey: KeyObject;
  readonly name: string;
}

/** Who a certificate is for, and under which names and addresses it is reached. */
export interface Subject {
  readonly commonName: string;
  readonly dnsNames?: readonly string[];
  readonly ips?: readonly string[];
}

const DAYS = 3650;

function tlv(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const { length } = body;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), body]);
}

const seq = (...parts: readonly Uint8Array[]): Buffer => tlv(0x30, ...parts);
const octets = (body: Uint8Array): Buffer => tlv(0x04, body);
const bits = (body: Uint8Array, unused = 0): Buffer => tlv(0x03, Buffer.from([unused]), body);
const TRUE = tlv(0x01, Buffer.from([0xff]));

function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = rest.flatMap((arc) => {
    const groups = [arc & 0x7f];
    for (let left = arc >> 7; left > 0; left >>= 7) groups.unshift((left & 0x7f) | 0x80);
    return groups;
  });
  return tlv(0x06, Buffer.from([first * 40 + second, ...bytes]));
}

const distinguishedName = (commonName: string): Buffer =>
  seq(tlv(0x31, seq(oid('2.5.4.3'), tlv(0x0c, Buffer.from(commonName)))));

const time = (ms: number): Buffer => tlv(0x18, Buffer.from(new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, '')));

const extension = (id: string, critical: boolean, body: Uint8Array): Buffer =>
  critical ? seq(oid(id), TRUE, octets(body)) : seq(oid(id), octets(body));

function addressBytes(ip: string): Buffer {
  if (isIP(ip) === 4) return Buffer.from(ip.split('.').map(Number));
  const [head = '', tail] = ip.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const words = [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right];
  return Buffer.from(words.map((word) => word.padStart(4, '0')).join(''), 'hex');
}

const publicKey = (key: KeyObject): Buffer => createPublicKey(key).export({ type: 'spki', format: 'der' });
const keyId = (spki: Buffer): Buffer => createHash('sha1').update(spki).digest();

const AUTHORITY = [extension('2.5.29.19', true, seq(TRUE)), extension('2.5.29.15', true, bits(Buffer.from([0x06]), 1))];

function leafExtensions({ dnsNames = [], ips = [] }: Subject): Buffer[] {
  const names = [
    ...dnsNames.map((name) => tlv(0x82, Buffer.from(name))),
    ...ips.map((ip) => tlv(0x87, addressBytes(ip))),
  ];
  return [
    extension('2.5.29.19', true, seq()),
    extension('2.5.29.15', true, bits(Buffer.from([0xa0]), 5)),
    extension('2.5.29.37', false, seq(oid('1.3.6.1.5.5.7.3.1'), oid('1.3.6.1.5.5.7.3.2'))),
    ...(names.length === 0 ? [] : [extension('2.5.29.17', false, seq(...names))]),
  ];
}

interface Issuing {
  readonly subject: string;
  readonly key: KeyObject;
  readonly issuer: string;
  readonly issuerKey: KeyObject;
  readonly extensions: readonly Buffer[];
  readonly now: number;
}

function issue({ subject, key, issuer, issuerKey, extensions, now }: Issuing): Certificate {
  const algorithm = seq(oid('1.2.840.10045.4.3.2'));
  const serial = randomBytes(16);
  serial.writeUInt8((serial.readUInt8(0) & 0x7f) | 0x01, 0);
  const spki = publicKey(key);
  const identifiers = [
    extension('2.5.29.14', false, octets(keyId(spki))),
    extension('2.5.29.35', false, seq(tlv(0x80, keyId(publicKey(issuerKey))))),
  ];
  const body = seq(
    tlv(0xa0, tlv(0x02, Buffer.from([2]))),
    tlv(0x02, serial),
    algorithm,
    distinguishedName(issuer),
    seq(time(now - 3_600_000), time(now + DAYS * 86_400_000)),
    distinguishedName(subject),
    spki,
    tlv(0xa3, seq(...extensions, ...identifiers)),
  );
  const der = seq(body, algorithm, bits(sign('sha256', body, issuerKey)));
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  const cert = `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
  return { cert, key: key.export({ type: 'pkcs8', format: 'pem' }).toString() };
}

const newKey = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;

/** A new self-signed authority, valid for ten years (RFC 5280). */
export function createCertificateAuthority(name = 'sandbox-ca', now: number = Date.now()): CertificateAuthority {
  const key = newKey();
  const made = issue({ subject: name, key, issuer: name, issuerKey: key, extensions: AUTHORITY, now });
  return { ...made, privateKey: key, name };
}

/** A certificate for servers and clients with the given names and addresses, valid for ten years. */
export function issueCertificate(ca: CertificateAuthority, subject: Subject, now: number = Date.now()): Certificate {
  const extensions = leafExtensions(subject);
  return issue({
    subject: subject.commonName,
    key: newKey(),
    issuer: ca.name,
    issuerKey: ca.privateKey,
    extensions,
    now,
  });
}
