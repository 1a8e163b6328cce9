package reasonrank.embedded;

import java.util.HashMap;
import java.util.Map;
import java.util.function.BiFunction;
import java.util.function.Function;
import java.util.function.Supplier;
import org.apache.lucene.analysis.Analyzer;
import org.apache.lucene.analysis.CharArraySet;
import org.apache.lucene.analysis.ar.ArabicAnalyzer;
import org.apache.lucene.analysis.bg.BulgarianAnalyzer;
import org.apache.lucene.analysis.bn.BengaliAnalyzer;
import org.apache.lucene.analysis.br.BrazilianAnalyzer;
import org.apache.lucene.analysis.ca.CatalanAnalyzer;
import org.apache.lucene.analysis.cjk.CJKAnalyzer;
import org.apache.lucene.analysis.ckb.SoraniAnalyzer;
import org.apache.lucene.analysis.cz.CzechAnalyzer;
import org.apache.lucene.analysis.da.DanishAnalyzer;
import org.apache.lucene.analysis.de.GermanAnalyzer;
import org.apache.lucene.analysis.el.GreekAnalyzer;
import org.apache.lucene.analysis.en.EnglishAnalyzer;
import org.apache.lucene.analysis.es.SpanishAnalyzer;
import org.apache.lucene.analysis.et.EstonianAnalyzer;
import org.apache.lucene.analysis.eu.BasqueAnalyzer;
import org.apache.lucene.analysis.fa.PersianAnalyzer;
import org.apache.lucene.analysis.fi.FinnishAnalyzer;
import org.apache.lucene.analysis.fr.FrenchAnalyzer;
import org.apache.lucene.analysis.ga.IrishAnalyzer;
import org.apache.lucene.analysis.gl.GalicianAnalyzer;
import org.apache.lucene.analysis.hi.HindiAnalyzer;
import org.apache.lucene.analysis.hu.HungarianAnalyzer;
import org.apache.lucene.analysis.hy.ArmenianAnalyzer;
import org.apache.lucene.analysis.id.IndonesianAnalyzer;
import org.apache.lucene.analysis.it.ItalianAnalyzer;
import org.apache.lucene.analysis.lt.LithuanianAnalyzer;
import org.apache.lucene.analysis.lv.LatvianAnalyzer;
import org.apache.lucene.analysis.nl.DutchAnalyzer;
import org.apache.lucene.analysis.no.NorwegianAnalyzer;
import org.apache.lucene.analysis.pt.PortugueseAnalyzer;
import org.apache.lucene.analysis.ro.RomanianAnalyzer;
import org.apache.lucene.analysis.ru.RussianAnalyzer;
import org.apache.lucene.analysis.sr.SerbianAnalyzer;
import org.apache.lucene.analysis.sv.SwedishAnalyzer;
import org.apache.lucene.analysis.th.ThaiAnalyzer;
import org.apache.lucene.analysis.tr.TurkishAnalyzer;
import org.elasticsearch.index.analysis.Analysis;
import org.elasticsearch.index.analysis.AnalyzerProvider;
import org.elasticsearch.index.analysis.AnalyzerScope;
import org.elasticsearch.indices.analysis.AnalysisModule.AnalysisProvider;

/** The analyzers of all languages that Elasticsearch has one for, with `stopwords` and `stem_exclusion`. */
final class Analyzers {
  static Map<String, AnalysisProvider<AnalyzerProvider<? extends Analyzer>>> all() {
    var all = new HashMap<String, AnalysisProvider<AnalyzerProvider<? extends Analyzer>>>();
    all.put("arabic", language(ArabicAnalyzer::getDefaultStopSet, ArabicAnalyzer::new));
    all.put("armenian", language(ArmenianAnalyzer::getDefaultStopSet, ArmenianAnalyzer::new));
    all.put("basque", language(BasqueAnalyzer::getDefaultStopSet, BasqueAnalyzer::new));
    all.put("bengali", language(BengaliAnalyzer::getDefaultStopSet, BengaliAnalyzer::new));
    all.put("brazilian", language(BrazilianAnalyzer::getDefaultStopSet, BrazilianAnalyzer::new));
    all.put("bulgarian", language(BulgarianAnalyzer::getDefaultStopSet, BulgarianAnalyzer::new));
    all.put("catalan", language(CatalanAnalyzer::getDefaultStopSet, CatalanAnalyzer::new));
    all.put("cjk", stopwordsOnly(CJKAnalyzer::getDefaultStopSet, CJKAnalyzer::new));
    all.put("czech", language(CzechAnalyzer::getDefaultStopSet, CzechAnalyzer::new));
    all.put("danish", language(DanishAnalyzer::getDefaultStopSet, DanishAnalyzer::new));
    all.put("dutch", language(DutchAnalyzer::getDefaultStopSet, DutchAnalyzer::new));
    all.put("english", language(EnglishAnalyzer::getDefaultStopSet, EnglishAnalyzer::new));
    all.put("estonian", language(EstonianAnalyzer::getDefaultStopSet, EstonianAnalyzer::new));
    all.put("finnish", language(FinnishAnalyzer::getDefaultStopSet, FinnishAnalyzer::new));
    all.put("french", language(FrenchAnalyzer::getDefaultStopSet, FrenchAnalyzer::new));
    all.put("galician", language(GalicianAnalyzer::getDefaultStopSet, GalicianAnalyzer::new));
    all.put("german", language(GermanAnalyzer::getDefaultStopSet, GermanAnalyzer::new));
    all.put("greek", stopwordsOnly(GreekAnalyzer::getDefaultStopSet, GreekAnalyzer::new));
    all.put("hindi", language(HindiAnalyzer::getDefaultStopSet, HindiAnalyzer::new));
    all.put("hungarian", language(HungarianAnalyzer::getDefaultStopSet, HungarianAnalyzer::new));
    all.put("indonesian", language(IndonesianAnalyzer::getDefaultStopSet, IndonesianAnalyzer::new));
    all.put("irish", language(IrishAnalyzer::getDefaultStopSet, IrishAnalyzer::new));
    all.put("italian", language(ItalianAnalyzer::getDefaultStopSet, ItalianAnalyzer::new));
    all.put("latvian", language(LatvianAnalyzer::getDefaultStopSet, LatvianAnalyzer::new));
    all.put("lithuanian", language(LithuanianAnalyzer::getDefaultStopSet, LithuanianAnalyzer::new));
    all.put("norwegian", language(NorwegianAnalyzer::getDefaultStopSet, NorwegianAnalyzer::new));
    all.put("persian", stopwordsOnly(PersianAnalyzer::getDefaultStopSet, PersianAnalyzer::new));
    all.put("portuguese", language(PortugueseAnalyzer::getDefaultStopSet, PortugueseAnalyzer::new));
    all.put("romanian", language(RomanianAnalyzer::getDefaultStopSet, RomanianAnalyzer::new));
    all.put("russian", language(RussianAnalyzer::getDefaultStopSet, RussianAnalyzer::new));
    all.put("serbian", language(SerbianAnalyzer::getDefaultStopSet, SerbianAnalyzer::new));
    all.put("sorani", language(SoraniAnalyzer::getDefaultStopSet, SoraniAnalyzer::new));
    all.put("spanish", language(SpanishAnalyzer::getDefaultStopSet, SpanishAnalyzer::new));
    all.put("swedish", language(SwedishAnalyzer::getDefaultStopSet, SwedishAnalyzer::new));
    all.put("thai", stopwordsOnly(ThaiAnalyzer::getDefaultStopSet, ThaiAnalyzer::new));
    all.put("turkish", language(TurkishAnalyzer::getDefaultStopSet, TurkishAnalyzer::new));
    return all;
  }

  private static AnalysisProvider<AnalyzerProvider<? extends Analyzer>> language(
      Supplier<CharArraySet> stopwords, BiFunction<CharArraySet, CharArraySet, Analyzer> analyzer) {
    return provider(options -> analyzer.apply(options.stopwords(stopwords.get()),
        Analysis.parseStemExclusion(options.settings(), CharArraySet.EMPTY_SET)));
  }

  /** A language whose analyzer has no words to exclude from stemming. */
  private static AnalysisProvider<AnalyzerProvider<? extends Analyzer>> stopwordsOnly(
      Supplier<CharArraySet> stopwords, Function<CharArraySet, Analyzer> analyzer) {
    return provider(options -> analyzer.apply(options.stopwords(stopwords.get())));
  }

  private static AnalysisProvider<AnalyzerProvider<? extends Analyzer>> provider(Function<Options, Analyzer> make) {
    return (index, environment, name, settings) -> {
      Analyzer analyzer = make.apply(new Options(index, environment, settings));
      return new AnalyzerProvider<>() {
        @Override
        public String name() {
          return name;
        }

        @Override
        public AnalyzerScope scope() {
          return AnalyzerScope.INDEX;
        }

        @Override
        public Analyzer get() {
          return analyzer;
        }
      };
    };
  }
}
