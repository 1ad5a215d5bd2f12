from tests.toy_relations import *
def test_x(checkpoint):
    nlp=trained_pipeline(checkpoint)
    d=nlp("")
    print(list(nlp.pipe(["",""])))
