import { expect, test } from 'vitest';
import { addressAndEmbedded } from './embedded-address.ts';

test.each([
  ['127.0.0.1', ['127.0.0.1']],
  ['::ffff:127.0.0.1', ['127.0.0.1']],
  ['64:ff9b::169.254.169.254', ['64:ff9b::a9fe:a9fe', '169.254.169.254']],
  ['64:ff9b:1::7f00:1', ['64:ff9b:1::7f00:1', '127.0.0.1']],
  ['2002:7f00:1::', ['2002:7f00:1::', '127.0.0.1']],
  ['::127.0.0.1', ['::7f00:1', '127.0.0.1']],
  ['::ffff:0:127.0.0.1', ['::ffff:0:7f00:1', '127.0.0.1']],
  ['2001:db8::7f00:1', ['2001:db8::7f00:1']],
])('%s holds %j', (address, held) => {
  expect(addressAndEmbedded(address)).toEqual(held);
});
