package dataset

// MaxTracks is the most pieces of recordings that can be overlaid.
const MaxTracks = 64
