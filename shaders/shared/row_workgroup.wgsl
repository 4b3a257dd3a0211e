// Who works on a row of the input: LANES lanes share what they work on, ROWS such groups are a workgroup.

override LANES: u32 = 32u;
override ROWS: u32 = 4u;
