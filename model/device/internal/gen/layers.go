package main

func (g *generator) layers() {}
