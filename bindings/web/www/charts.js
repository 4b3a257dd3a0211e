// Pictures of arrays of [frame, row], one column a frame, all on the same axis.

/** Pixels at the left, where the rows are named. */
const GUTTER = 22;

const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name);

/**
 * Clears a canvas and calls `paint(context, x, y)`, where `x(frame)` and `y(row)` are the corners of a cell, in whole
 * pixels of the screen: cells that share an edge leave no seam.
 */
function draw(canvas, rows, frames, description, paint) {
    const scale = devicePixelRatio;
    canvas.width = Math.round(canvas.clientWidth * scale);
    canvas.height = Math.round(canvas.clientHeight * scale);
    canvas.setAttribute('aria-label', description);
    const left = GUTTER * scale;
    const context = canvas.getContext('2d');
    context.fillStyle = colour('--panel');
    context.fillRect(left, 0, canvas.width - left, canvas.height);
    const x = frame => Math.round(left + (frame * (canvas.width - left)) / frames);
    const y = row => Math.round((row * canvas.height) / rows);
    paint(context, x, y);
}

/** A text in the middle of a box. */
function name(context, text, x, y, height) {
    context.font = `${Math.min(height, 12 * devicePixelRatio)}px ui-monospace, monospace`;
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    context.fillText(text, x, y + height / 2);
}

/** Numbers from 0 to 1 as [frame, row]; `paint` is the name of a colour's components, and rows may have names. */
export function heat(canvas, values, rows, frames, names, paint, description) {
    draw(canvas, rows, frames, description, (context, x, y) => {
        const components = colour(paint);
        values.forEach((value, index) => {
            const frame = Math.floor(index / rows);
            const row = index % rows;
            // Small probabilities are what is of interest: the root shows them.
            context.fillStyle = `rgba(${components}, ${Math.sqrt(value)})`;
            context.fillRect(x(frame), y(row), x(frame + 1) - x(frame), y(row + 1) - y(row));
        });
        context.fillStyle = colour('--soft');
        names.forEach((text, row) => name(context, text, x(0) / 2, y(row), y(row + 1) - y(row)));
    });
}

/** Runs of frames, each a box with its character. */
export function strip(canvas, runs, frames, description) {
    draw(canvas, 1, frames, description, (context, x, y) => {
        for (const { text, from, to } of runs) {
            context.fillStyle = `rgba(${colour('--heat')}, 0.35)`;
            // Neighbours stay apart.
            context.fillRect(x(from), y(0), x(to + 1) - x(from) - devicePixelRatio, y(1));
            context.fillStyle = colour('--text');
            name(context, text, (x(from) + x(to + 1)) / 2, y(0), y(1));
        }
    });
}
