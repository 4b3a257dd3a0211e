// Tests of the WebAssembly module in Node, with Dawn on a software driver.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import test from 'node:test';
import { load } from './dawn.js';

const ctc = await load();
const assertNear = (got, expected, tolerance, name) => {
    assert.equal(got.length, expected.length, name);
    got.forEach((number, index) => {
        const allowed = tolerance * Math.max(1, Math.abs(expected[index]));
        const message = `${name} ${index}: ${number}, expected ${expected[index]}`;
        assert.ok(Math.abs(number - expected[index]) <= allowed, message);
    });
};

// The example on the front page of the crate's documentation: two items of four frames, with equal
// probabilities of all classes.
const batch = () =>
    [new Float32Array(24), [2, 4, 3], new Int32Array([1, 2, 1, -1]), new Int32Array([2, 1])];

for (const backend of ['gpu', 'cpu']) {
    test(`${backend}: losses and gradients that can be calculated by hand`, async () => {
        const logitLengths = new Int32Array([4, 3]);
        const output = await ctc.ctcLossAndGrad(...batch(), { logitLengths, backend });
        assert.equal(output.backend, backend);
        assertNear(output.loss, [Math.log(81 / 15), Math.log(27 / 6)], 1e-6, 'loss');
        assert.deepEqual(output.status, ['ok', 'ok']);
        assert.equal(output.grad.length, 24);
        assert.deepEqual([...output.grad.slice(21)], [0, 0, 0]);
        assert.equal(output.reduced, undefined);
    });

    test(`${backend}: the options take effect`, async () => {
        const options = { reduction: 'meanBatch', blank: -1, labelLayout: 'concatenated', backend };
        await assert.rejects(() => ctc.ctcLossAndGrad(...batch(), options), /label/);
        const [logits, shape] = batch();
        const [labels, lengths] = [new Int32Array([0, 1, 0]), new Int32Array([2, 1])];
        const timeMajor = { ...options, layout: 'TNC' };
        const output = await ctc.ctcLossAndGrad(logits, [4, 2, 3], labels, lengths, timeMajor);
        assertNear([output.reduced], [(Math.log(81 / 15) + Math.log(81 / 10)) / 2], 1e-6, 'mean');
        assert.deepEqual(shape, [2, 4, 3]);
    });

    test(`${backend}: an item without a valid alignment does not affect the others`, async () => {
        const [logits, shape] = batch();
        const [labels, lengths] = [new Int32Array([1, 1, 1, 1, 2, 0]), new Int32Array([3, 2])];
        const output = await ctc.ctcLossAndGrad(logits, shape, labels, lengths, { backend });
        assert.deepEqual(output.status, ['impossible', 'ok']);
        assert.equal(output.loss[0], Infinity);
        assertNear([output.loss[1]], [Math.log(81 / 15)], 1e-6, 'loss');
    });
}

test('invalid arguments are errors that name the rule', async () => {
    const [logits, shape, labels, lengths] = batch();
    const invalid = (expected, ...call) =>
        assert.rejects(() => ctc.ctcLossAndGrad(...call), expected);
    const invalidOptions = (expected, options) =>
        invalid(expected, logits, shape, labels, lengths, options);
    await invalid(/logits has 24 elements, but 30 are needed/, logits, [2, 5, 3], labels, lengths);
    await invalid(/three numbers/, logits, [24], labels, lengths);
    const labels7 = new Int32Array([1, 7, 1, 0]);
    await invalid(/item 0: label 7 at position 1/, logits, shape, labels7, lengths);
    await invalidOptions(/options.blnk: is unknown; the options are blank,/, { blnk: 0 });
    await invalidOptions(/options.blank/, { blank: 0.5 });
    await invalidOptions(/options.reduction: must be one of none, sum/, { reduction: 'average' });
    await invalidOptions(/options.weights: must be a Float32Array/, { weights: [1, 1] });
    const [impossible, two] = [new Int32Array([1, 1, 1, 1, 2, 0]), new Int32Array([3, 2])];
    const noAlignment = /Impossible::Error|no (valid )?alignment/;
    await invalid(noAlignment, logits, shape, impossible, two, { impossible: 'error' });
});

test('every case passes on SwiftShader', async () => {
    const calls = [];
    const report = await ctc.validate(true, (...progress) => calls.push(progress));
    const failed = report.rows.filter(row => row.failures.length > 0);
    assert.ok(report.passed, JSON.stringify(failed, null, 1));
    assert.equal(calls.length, report.rows.length);
    assert.deepEqual(calls.at(-1).slice(1), [calls.length, calls.length]);
    assert.ok(report.rows.reduce((sum, row) => sum + row.cases, 0) >= 20);
});

test('the benchmark runs on the GPU and on the CPU', async () => {
    for (const gpu of [true, false]) {
        const bench = await ctc.Benchmark.open(gpu);
        await assert.rejects(() => bench.prepare([1, 2]), /four numbers/);
        await bench.prepare(ctc.benchmarkShapes()[0]);
        await bench.run(3);
    }
});

const model = name => new Uint8Array(fs.readFileSync(new URL(`../model/${name}`, import.meta.url)));

test('the logits and the decoded text are those of PyTorch', async () => {
    const recogniser = new ctc.Recogniser(model('weights.bin'), model('glyphs.bin'));
    const fixture = new URL('../model/fixture.json', import.meta.url);
    const cases = JSON.parse(fs.readFileSync(fixture));
    assert.ok(cases.length >= 3);
    for (const { text, face, spacing, decoded, logits } of cases) {
        const got = recogniser.logits(recogniser.draw(text, face, spacing));
        assertNear(got, logits, 1e-4, `logit of ${text}`);
        assert.equal((await recogniser.explain(got, text)).decoded, decoded);
    }
    assert.throws(() => new ctc.Recogniser(model('weights.bin').slice(2), model('glyphs.bin')),
        /weights.bin is damaged/);
    assert.throws(() => recogniser.draw('CAFÉ', 0, 0), /“É” is not among/);
    assert.throws(() => recogniser.draw('0123456', 0, 0), /7 characters take 56 columns of 50/);
});

test('occupancies are probabilities that follow the label', async () => {
    const recogniser = new ctc.Recogniser(model('weights.bin'), model('glyphs.bin'));
    const logits = recogniser.logits(recogniser.draw('CAFE42', 0, 0));
    const labels = ['CAFE42', 'CAKE42', '0'.repeat(40)];
    const explanations = await Promise.all(labels.map(label => recogniser.explain(logits, label)));
    const [right, wrong, none] = explanations;
    assert.ok(right.loss < wrong.loss);
    assert.equal(none.status, 'impossible');
    assert.deepEqual([...none.alignment], []);
    for (const { occupancies, probabilities } of [right, wrong]) {
        for (let frame = 0; frame < 50; frame++) {
            const row = array => array.slice(frame * 20, frame * 20 + 20);
            const sum = array => row(array).reduce((a, b) => a + b, 0);
            assertNear([sum(occupancies), sum(probabilities)], [1, 1], 1e-4, `frame ${frame}`);
        }
    }
    // The alignment contains each character of the label once, in order.
    const isFirst = (position, t) => position >= 0 && right.alignment[t - 1] !== position;
    const positions = right.alignment.filter(isFirst);
    assert.deepEqual(positions, [0, 1, 2, 3, 4, 5]);
    // The second label requires a K where the network detects an F.
    const k = recogniser.alphabet.indexOf('K');
    const largest = array => Math.max(...array.filter((_, index) => index % 20 === k));
    assert.ok(largest(wrong.occupancies) > 0.5 && largest(right.occupancies) < 0.01);
});

test.after(() => {
    // Dawn keeps the process alive as long as its GPU object exists.
    delete globalThis.navigator;
});
