// The wasm without a browser: Node, and Dawn on a software driver.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import test from 'node:test';
import { load } from './dawn.js';

const ctc = await load();
const near = (got, expected, tolerance, what) => {
    assert.equal(got.length, expected.length, what);
    got.forEach((number, index) => {
        const allowed = tolerance * Math.max(1, Math.abs(expected[index]));
        assert.ok(Math.abs(number - expected[index]) <= allowed, `${what} ${index}: ${number}, expected ${expected[index]}`);
    });
};

// What the front page of the crate's documentation shows: two items of four frames, all classes equally likely.
const batch = () => [new Float32Array(24), [2, 4, 3], new Int32Array([1, 2, 1, -1]), new Int32Array([2, 1])];

for (const backend of ['gpu', 'cpu']) {
    test(`${backend}: losses and gradients that can be counted by hand`, async () => {
        const output = await ctc.ctcLossAndGrad(...batch(), { logitLengths: new Int32Array([4, 3]), backend });
        assert.equal(output.backend, backend);
        near(output.loss, [Math.log(81 / 15), Math.log(27 / 6)], 1e-6, 'loss');
        assert.deepEqual(output.status, ['ok', 'ok']);
        assert.equal(output.grad.length, 24);
        assert.deepEqual([...output.grad.slice(21)], [0, 0, 0]);
        assert.equal(output.reduced, undefined);
    });

    test(`${backend}: options reach the loss`, async () => {
        const mean = await ctc.ctcLossAndGrad(...batch(), { reduction: 'meanBatch', blank: -1, labelLayout: 'concatenated', backend })
            .catch(error => error.message);
        assert.match(mean, /label/);
        const [logits, shape] = batch();
        const options = { reduction: 'meanBatch', blank: -1, labelLayout: 'concatenated', layout: 'TNC', backend };
        const output = await ctc.ctcLossAndGrad(logits, [4, 2, 3], new Int32Array([0, 1, 0]), new Int32Array([2, 1]), options);
        near([output.reduced], [(Math.log(81 / 15) + Math.log(81 / 10)) / 2], 1e-6, 'mean');
        assert.deepEqual(shape, [2, 4, 3]);
    });

    test(`${backend}: an item without an alignment leaves its neighbour alone`, async () => {
        const [logits, shape] = batch();
        const output = await ctc.ctcLossAndGrad(logits, shape, new Int32Array([1, 1, 1, 1, 2, 0]), new Int32Array([3, 2]), { backend });
        assert.deepEqual(output.status, ['impossible', 'ok']);
        assert.equal(output.loss[0], Infinity);
        near([output.loss[1]], [Math.log(81 / 15)], 1e-6, 'loss');
    });
}

test('what a caller does wrong is told', async () => {
    const [logits, shape, labels, lengths] = batch();
    const refused = (expected, ...call) => assert.rejects(() => ctc.ctcLossAndGrad(...call), expected);
    await refused(/logits has 24 elements, but 30 are needed/, logits, [2, 5, 3], labels, lengths);
    await refused(/three numbers/, logits, [24], labels, lengths);
    await refused(/item 0: label 7 at position 1/, logits, shape, new Int32Array([1, 7, 1, 0]), lengths);
    await refused(/options.blnk: is unknown; there are blank,/, logits, shape, labels, lengths, { blnk: 0 });
    await refused(/options.blank/, logits, shape, labels, lengths, { blank: 0.5 });
    await refused(/options.reduction: must be one of none, sum/, logits, shape, labels, lengths, { reduction: 'average' });
    await refused(/options.weights: must be a Float32Array/, logits, shape, labels, lengths, { weights: [1, 1] });
    await refused(/Impossible::Error|no alignment/, logits, shape, new Int32Array([1, 1, 1, 1, 2, 0]), new Int32Array([3, 2]), { impossible: 'error' });
});

test('every case passes on SwiftShader', async () => {
    const told = [];
    const report = await ctc.validate(true, (row, done, total) => told.push([row, done, total]));
    assert.ok(report.passed, JSON.stringify(report.rows.filter(row => row.failures.length > 0), null, 1));
    assert.equal(told.length, report.rows.length);
    assert.deepEqual(told.at(-1).slice(1), [told.length, told.length]);
    assert.ok(report.rows.reduce((sum, row) => sum + row.cases, 0) >= 20);
});

test('a benchmark runs on both', async () => {
    for (const gpu of [true, false]) {
        const bench = await ctc.Benchmark.open(gpu);
        await assert.rejects(() => bench.prepare([1, 2]), /four numbers/);
        await bench.prepare(ctc.benchmarkShapes()[0]);
        await bench.run(3);
    }
});

const model = name => new Uint8Array(fs.readFileSync(new URL(`../model/${name}`, import.meta.url)));

test('the network reads as PyTorch does', async () => {
    const reader = new ctc.Reader(model('weights.bin'), model('glyphs.bin'));
    const cases = JSON.parse(fs.readFileSync(new URL('../model/fixture.json', import.meta.url)));
    assert.ok(cases.length >= 3);
    for (const { text, face, spacing, read, logits } of cases) {
        const got = reader.logits(reader.draw(text, face, spacing));
        near(got, logits, 1e-4, `logit of ${text}`);
        const { reading } = await reader.explain(got, text);
        assert.equal(reading, read);
    }
    assert.throws(() => new ctc.Reader(model('weights.bin').slice(2), model('glyphs.bin')), /weights.bin is damaged/);
    assert.throws(() => reader.draw('CAFÉ', 0, 0), /“É” is not among/);
    assert.throws(() => reader.draw('0123456', 0, 0), /7 characters take 56 columns of 50/);
});

test('occupancies are probabilities that follow the label', async () => {
    const reader = new ctc.Reader(model('weights.bin'), model('glyphs.bin'));
    const logits = reader.logits(reader.draw('CAFE42', 0, 0));
    const [right, wrong, none] = await Promise.all(['CAFE42', 'CAKE42', '0'.repeat(40)].map(label => reader.explain(logits, label)));
    assert.ok(right.loss < wrong.loss);
    assert.equal(none.status, 'impossible');
    assert.deepEqual([...none.alignment], []);
    for (const { occupancies, probabilities } of [right, wrong]) {
        for (let frame = 0; frame < 50; frame++) {
            const sum = array => array.slice(frame * 20, frame * 20 + 20).reduce((a, b) => a + b, 0);
            near([sum(occupancies), sum(probabilities)], [1, 1], 1e-4, `frame ${frame}`);
        }
    }
    // Each label once, in order.
    const places = right.alignment.filter((place, t) => place >= 0 && right.alignment[t - 1] !== place);
    assert.deepEqual(places, [0, 1, 2, 3, 4, 5]);
    // The K is asked for where the network sees an F.
    const k = reader.alphabet.indexOf('K');
    const most = array => Math.max(...array.filter((_, index) => index % 20 === k));
    assert.ok(most(wrong.occupancies) > 0.5 && most(right.occupancies) < 0.01);
});

test.after(() => {
    // Dawn keeps Node alive as long as its GPU is there.
    delete globalThis.navigator;
});
