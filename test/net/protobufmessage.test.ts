import { expect, test } from '@jest/globals';
import { readMessage } from '../../src/net/protobufmessage.ts';
import { messageField, textField, varintField } from '../../src/net/protobufwire.ts';

const messages = {
  Pod: {
    1: { name: 'name', type: 'string' },
    2: { name: 'labels', type: 'string', map: true },
    3: { name: 'args', type: 'string', repeated: true },
    4: { name: 'spec', type: 'Spec' },
    5: { name: 'raw', type: 'bytes' },
  },
  Spec: { 1: { name: 'host', type: 'boolean' }, 2: { name: 'grace', type: 'integer' } },
};
const entry = (key: string, value: string): Buffer =>
  messageField(2, Buffer.concat([textField(1, key), textField(2, value)]));

test('a message becomes JSON data by its description; what is unknown or empty is left out', () => {
  const encoded = Buffer.concat([
    textField(1, 'a'),
    entry('x', '1'),
    entry('y', ''),
    textField(3, '-c'),
    textField(3, '-d'),
    messageField(4, Buffer.concat([varintField(1, true), varintField(2, 30), varintField(9, 5)])),
    messageField(5, Buffer.from([1, 2])),
    textField(8, 'unknown'),
  ]);
  expect(readMessage(messages, 'Pod', encoded)).toEqual({
    name: 'a',
    labels: { x: '1', y: '' },
    args: ['-c', '-d'],
    spec: { host: true, grace: 30 },
    raw: 'AQI=',
  });
  expect(readMessage(messages, 'Pod', messageField(1, Buffer.alloc(0)))).toEqual({});
  expect(readMessage(messages, 'Pod', Buffer.from([0xff]))).toEqual({});
  expect(readMessage(messages, 'Nothing', encoded)).toEqual({});
});
