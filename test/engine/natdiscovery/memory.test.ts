import { afterEach, beforeEach, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DecisionMemory, parseDecisions } from '../../../src/engine/natdiscovery/memory.ts';
import { silentLogger } from '../../../src/runtime/logger.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'memory-test-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const decision = { usingIp: '172.31.0.11', usingNat: true, origin: 'private' } as const;

test('a new process knows what the last one saved, and only that', () => {
  const first = new DecisionMemory(path.join(folder, 'deep'), silentLogger);
  first.save(new Map([['gone', decision]]));
  first.save(new Map([['cable-east', decision]]));
  const second = new DecisionMemory(path.join(folder, 'deep'), silentLogger);
  expect(second.get('cable-east')).toEqual({ ...decision, origin: 'remembered' });
  expect(second.get('gone')).toBeUndefined();
});

test('the same again is not written again', () => {
  const memory = new DecisionMemory(folder, silentLogger);
  memory.save(new Map([['cable-east', decision]]));
  const file = path.join(folder, 'natdiscovery.json');
  const inode = statSync(file).ino;
  memory.save(new Map([['cable-east', decision]]));
  expect(statSync(file).ino).toBe(inode);
  expect(JSON.parse(readFileSync(file, 'utf8'))).toHaveProperty('cable-east');
});

test('a folder that cannot be written is survived', () => {
  writeFileSync(path.join(folder, 'file'), '');
  const memory = new DecisionMemory(path.join(folder, 'file'), silentLogger);
  memory.save(new Map([['cable-east', decision]]));
  expect(memory.get('cable-east')).toEqual(decision);
});

test('damaged texts are read as far as they make sense', () => {
  const text = JSON.stringify({
    good: decision,
    a: null,
    b: 'x',
    c: { usingIp: '', usingNat: true },
    d: { usingIp: '1.1.1.1' },
  });
  expect([...parseDecisions(text).keys()]).toEqual(['good']);
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (junk) => void parseDecisions(junk)));
});
