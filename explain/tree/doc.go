// Package tree grows decision trees on rows of small whole numbers with many classes: exact CART
// (Gini), the same tree on any number of workers.
//
// A greedy split depends on nothing but the rows of its node, so one fully grown tree holds every
// smaller one: [Tree.MaxDepth], [Tree.MaxLeaves], [Tree.CostComplexity] and [Tree.TopBranches] read
// them off without another fit.
//
// Source: L. Breiman, J. Friedman, R. Olshen and C. Stone, Classification and Regression Trees, 1984.
package tree
